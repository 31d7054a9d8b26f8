"""A small network's story as records: who is admitted, which timelines open, which events are written.

Everything follows from labels and counters, so the same calls give the same bytes in every process. Bodies are not
really sealed: the fold only hashes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from carenet.encoding.ids import encode_id, sha256
from carenet.statements import keys
from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey
from carenet.statements.header import Header
from carenet.statements.payloads import Admit, Give, Open, Withdraw
from carenet.statements.records import RecordValue, partition_of
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement
from tests.support.actors import NOW_S, Actor, actor, header_of, hpke_public, sign, signing_key

COMPARTMENTS = ("clinical", "identity", "medication")


def genesis_of(topic: str, partitions: int, node_sign: bytes | None = None) -> Genesis:
    """A network with one authority and one node.

    Args:
        topic: the events topic.
        partitions: its partition count.
        node_sign: the node's public key; None takes that of the label `node`.
    """
    return Genesis(
        format=1,
        name="test",
        salt=bytes(16),
        authorities=(AuthorityKey("authority", signing_key("authority").public),),
        threshold=1,
        nodes=(NodeKey("node", node_sign or signing_key("node").public, bytes(keys.MLDSA44_BYTES)),),
        quorum=1,
        topic=topic,
        partitions=partitions,
        snapshot_every=1000,
        retention_days=0,
        rulebook=1,
    )


@lru_cache
def opening_key_label(label: str, partition: int, partitions: int) -> str:
    """A label whose opening key names a subject that lives in the wanted partition."""
    for attempt in range(100_000):
        name = f"{label}/{attempt}"
        if partition_of(encode_id(actor(name).id), "", partitions) == partition:
            return name
    raise AssertionError("no such label")


@dataclass
class Chronicle:
    """Writes a network's statements one after the other.

    Attributes:
        genesis: the network's.
        iat_s: when the next statement says it was signed; each one a second later than the one before.
    """

    genesis: Genesis
    iat_s: int = NOW_S
    step_s: int = 0
    _count: int = field(default=0)

    authority: Actor = field(default_factory=lambda: actor("authority"))
    hospital: Actor = field(default_factory=lambda: actor("hospital"))
    clinician: Actor = field(default_factory=lambda: actor("clinician"))

    def _sign(self, signer: Actor, type_: str, subject: bytes, payload: Shape | bytes, **more: Any) -> Statement:
        self._count += 1
        self.iat_s += self.step_s
        header: Header = header_of(
            signer,
            network=self.genesis.network_id,
            type=type_,
            subject=subject,
            iat_s=self.iat_s,
            cti=sha256(f"cti {self._count}".encode())[:16],
            **more,
        )
        return sign(signer, header, payload)

    def admit(self, who: Actor, roles: tuple[str, ...], organisation: Actor | None = None) -> RecordValue:
        """The authority admits someone."""
        may_give = ("clinician",) if organisation is None else ()
        payload = Admit(
            who.name, organisation.id if organisation else None, roles, may_give, who.key.public, who.hpke, bytes(64)
        )
        binding = payload.binding(self.genesis.network_id, self.authority.id)
        payload = replace(payload, proof=who.key.sign(binding))
        statement = self._sign(self.authority, "participant.admit", self.genesis.network_id, payload)
        return RecordValue(statement.encoded, None)

    def founding(self) -> list[RecordValue]:
        """Hospital and clinician are admitted."""
        return [
            self.admit(self.hospital, ("registrar", "custodian")),
            self.admit(self.clinician, ("clinician",), self.hospital),
        ]

    def patient(self, label: str, partition: int = 0) -> Actor:
        """The key that opens a patient's timeline in a partition; its id is the subject."""
        return actor(opening_key_label(label, partition, self.genesis.partitions))

    def open(self, patient: Actor, write: tuple[str, ...] = ("clinician",)) -> RecordValue:
        """The hospital opens a patient's timeline."""
        epochs = {name: hpke_public(f"{patient.name}/{name}/0") for name in COMPARTMENTS}
        body = b"wraps of " + patient.name.encode()
        payload = Open(
            kind="patient",
            custodians=(self.hospital.id,),
            epochs=epochs,
            write=write,
            emergency=True,
            opening=patient.key.public,
            proof=bytes(64),
            to=(self.hospital.id,),
            brings=tuple(keys.compute_epoch_id(public) for public in epochs.values()),
            body=sha256(body),
        )
        payload = replace(payload, proof=patient.key.sign(payload.binding(self.genesis.network_id, self.hospital.id)))
        statement = self._sign(self.hospital, "subject.open", patient.id, payload)
        return RecordValue(statement.encoded, body)

    def care(self, patient: Actor, text: str = "", type_: str = "care.observation", **more: Any) -> RecordValue:
        """The clinician writes an event."""
        self._count += 1
        body = f"sealed {text} {self._count}".encode() * 8
        defaults: dict[str, Any] = {
            "content_type": "application/fhir+json",
            "compartment": "clinical",
            "epoch": keys.compute_epoch_id(hpke_public(f"{patient.name}/clinical/0")),
        }
        statement = self._sign(self.clinician, type_, patient.id, sha256(body), **{**defaults, **more})
        return RecordValue(statement.encoded, body)

    def give(self, patient: Actor, grantee: Actor) -> RecordValue:
        """The hospital grants reading with history."""
        body = b"wraps for " + grantee.name.encode()
        epochs = [keys.compute_epoch_id(hpke_public(f"{patient.name}/{name}/0")) for name in COMPARTMENTS]
        payload = Give(
            grantee=grantee.id,
            actions=("read", "write"),
            compartments=COMPARTMENTS,
            history=True,
            until_ms=None,
            purpose="treat",
            to=(grantee.id,),
            brings=tuple(epochs),
            body=sha256(body),
        )
        statement = self._sign(self.hospital, "grant.give", patient.id, payload)
        return RecordValue(statement.encoded, body)

    def withdraw(self, patient: Actor, grantee: Actor) -> RecordValue:
        """The hospital withdraws what it granted; the next epochs begin."""
        body = b"wraps after " + grantee.name.encode()
        epochs = {name: hpke_public(f"{patient.name}/{name}/1") for name in COMPARTMENTS}
        payload = Withdraw(
            grantee=grantee.id,
            epochs=epochs,
            to=(self.hospital.id,),
            brings=tuple(keys.compute_epoch_id(public) for public in epochs.values()),
            body=sha256(body),
        )
        statement = self._sign(self.hospital, "grant.withdraw", patient.id, payload)
        return RecordValue(statement.encoded, body)
