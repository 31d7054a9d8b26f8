"""A network of a few actors, and every kind of statement that they publish, built cheaply.

Bodies are bytes of no meaning: the pure core hashes them and never opens one. Builders take what a publisher would
have to know (current epochs, who reads) as arguments, so that a test can also get it wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SigningKey
from carenet.encoding.ids import encode_id, sha256
from carenet.statements import keys
from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey
from carenet.statements.header import ED25519_OVER_BATCH, Header
from carenet.statements.payloads import Admit, EpochBegin, Give, KeyShare, Open, Retract, Rotate, Suspend, Withdraw
from carenet.statements.records import RecordValue, RelayProof, encode_record, partition_of
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement, Unsigned, sign_batch
from tests.support.actors import NOW_S, Actor, actor, hpke_public, sign, signing_key

COMPARTMENTS = ("clinical", "medication", "identity")
FHIR = "application/fhir+json"


@dataclass(frozen=True)
class Message:
    """What a publisher sends: a statement, its body, and a proof where a node relays it."""

    statement: Statement
    body: bytes | None = None
    proof: RelayProof | None = None

    @property
    def key(self) -> bytes:
        """The record's key."""
        return encode_id(self.statement.header.subject).encode()

    @property
    def value(self) -> bytes:
        """The record's value."""
        return encode_record(RecordValue(self.statement.encoded, self.body, self.proof))


@dataclass(frozen=True)
class Patient:
    """A patient whose timeline may be opened."""

    name: str
    opening: SigningKey = field(repr=False)

    @property
    def id(self) -> bytes:
        """The subject's id: thumbprint of the opening key."""
        return cose.compute_thumbprint(self.opening.public)

    def epoch(self, compartment: str, number: int) -> bytes:
        """The public key of a compartment's epoch, by a number that nothing checks."""
        return hpke_public(f"{self.name}/{compartment}/{number}")


def epoch_ids(publics: Iterable[bytes]) -> tuple[bytes, ...]:
    """The ids of epochs by their public keys."""
    return tuple(map(keys.compute_epoch_id, publics))


def in_batch(signer: Actor, messages: Sequence[Message]) -> list[Message]:
    """The same messages, signed by one signature instead of one each."""
    headers = [replace(each.statement.header, alg=ED25519_OVER_BATCH) for each in messages]
    parts = [Unsigned.of(header, each.statement.payload) for header, each in zip(headers, messages, strict=True)]
    signed = sign_batch(parts, signer.key)
    return [replace(each, statement=statement) for each, statement in zip(messages, signed, strict=True)]


class World:
    """A genesis, the actors, and a clock that the test moves."""

    def __init__(self, partitions: int = 3, nodes: int = 3, quorum: int = 2) -> None:
        self.authority = actor("authority")
        self.nodes = [actor(f"node-{number}") for number in range(nodes)]
        self.hospital, self.clinician, self.nurse = actor("hospital"), actor("clinician"), actor("nurse")
        self.lab, self.pharmacy, self.emergency = actor("lab"), actor("pharmacy"), actor("emergency")
        self.stranger = actor("stranger")  # never admitted
        self.genesis = Genesis(
            format=1,
            name="test",
            salt=bytes(16),
            authorities=(AuthorityKey("authority", self.authority.key.public),),
            threshold=1,
            nodes=tuple(NodeKey(each.name, each.key.public, bytes(1312)) for each in self.nodes),
            quorum=quorum,
            topic="carenet.events",
            partitions=partitions,
            snapshot_every=1000,
            retention_days=0,
            rulebook=1,
        )
        self.network = self.genesis.network_id
        self.clock_ms = NOW_S * 1000
        self._cti = count()

    def partition(self, subject: bytes) -> int:
        """Where a subject belongs."""
        return partition_of(encode_id(subject), encode_id(self.network), self.genesis.partitions)

    def patient(self, partition: int, number: int = 0) -> Patient:
        """The patient of a number among those who belong in a partition."""
        found = (Patient(name, signing_key(name)) for name in (f"patient-{place}" for place in count()))
        fitting = (each for each in found if self.partition(each.id) == partition)
        return next(each for place, each in enumerate(fitting) if place == number)

    def header(self, signer: Actor, event_type: str, about: bytes, **changes: Any) -> Header:
        """A fresh header: now, and a cti of its own."""
        cti = sha256(f"cti/{next(self._cti)}".encode())[:16]
        header = Header(self.network, event_type, signer.id, about, self.clock_ms // 1000, cti, signer.kid)
        return replace(header, **changes)

    def control(
        self, signer: Actor, event_type: str, about: bytes, payload: Shape | dict[str, Any], **changes: Any
    ) -> Message:
        """Any control statement; a body is made up where the payload names one."""
        fields = payload.to_map() if isinstance(payload, Shape) else payload
        body = None
        if fields.get("to") is not None and "body" in fields:
            body = cbor.encode([b"wrap for " + each for each in fields["to"]])
            fields = fields | {"body": sha256(body)}
        event_type = changes.pop("type", event_type)
        return Message(sign(signer, self.header(signer, event_type, about, **changes), fields), body)

    def admit(
        self,
        by: Actor,
        who: Actor,
        roles: Iterable[str],
        organisation: Actor | None = None,
        may_give: Iterable[str] = (),
        **changes: Any,
    ) -> Message:
        """participant.admit, with the admitted key's consent. `hpke` and `proof` may be given."""
        hpke = changes.pop("hpke", who.hpke)
        proof = changes.pop("proof", None)
        house = organisation.id if organisation else None
        payload = Admit(who.name, house, tuple(roles), tuple(may_give), who.key.public, hpke, bytes(64))
        proof = proof or who.key.sign(payload.binding(self.network, by.id))
        return self.control(by, "participant.admit", self.network, replace(payload, proof=proof), **changes)

    def rotate(self, by: Actor, who: Actor, new: Actor, **changes: Any) -> Message:
        """participant.rotate of `who` to the keys of `new`."""
        proof = changes.pop("proof", None)
        payload = Rotate(who.id, new.key.public, new.hpke, bytes(64))
        proof = proof or new.key.sign(payload.binding(self.network, by.id))
        return self.control(by, "participant.rotate", self.network, replace(payload, proof=proof), **changes)

    def suspend(self, by: Actor, who: Actor, **changes: Any) -> Message:
        """participant.suspend."""
        return self.control(by, "participant.suspend", self.network, Suspend(who.id), **changes)

    def open(
        self,
        by: Actor,
        patient: Patient,
        custodians: Iterable[Actor],
        write: Iterable[str] = (),
        compartments: Iterable[str] = COMPARTMENTS,
        **fields: Any,
    ) -> Message:
        """subject.open with epoch number 0 of each compartment; `fields` replace what the opening key signs."""
        held = tuple(each.id for each in custodians)
        epochs = {name: patient.epoch(name, 0) for name in compartments}
        brings = epoch_ids(epochs.values())
        payload = Open(
            kind="patient",
            custodians=held,
            epochs=epochs,
            write=tuple(write),
            emergency=True,
            opening=patient.opening.public,
            proof=bytes(64),
            to=held,
            brings=brings,
            body=bytes(32),
        )
        changes = {key: fields.pop(key) for key in list(fields) if key in Header.__dataclass_fields__}
        payload = replace(payload, **{key: value for key, value in fields.items() if key != "proof"})
        body = cbor.encode([b"wrap for " + each for each in payload.to])
        payload = replace(payload, body=sha256(body))
        proof = fields.get("proof") or patient.opening.sign(payload.binding(self.network, by.id))
        payload = replace(payload, proof=proof)
        subject = changes.pop("subject", patient.id)
        event_type = changes.pop("type", "subject.open")
        return Message(sign(by, self.header(by, event_type, subject, **changes), payload), body)

    def give(
        self,
        by: Actor,
        patient: Patient,
        grantee: Actor,
        *,
        compartments: Iterable[str] = ("clinical",),
        actions: Iterable[str] = ("read",),
        history: bool = True,
        until_ms: int | None = None,
        **fields: Any,
    ) -> Message:
        """grant.give; `epochs`, `to` and `brings` are what the publisher believes to be right."""
        payload = Give(
            grantee=grantee.id,
            actions=tuple(actions),
            compartments=tuple(compartments),
            history=history,
            until_ms=until_ms,
            purpose=fields.pop("purpose", "treat"),
        )
        return self._wrapping(by, "grant.give", patient, payload, fields)

    def withdraw(self, by: Actor, patient: Patient, grantee: Actor, **fields: Any) -> Message:
        """grant.withdraw."""
        return self._wrapping(by, "grant.withdraw", patient, Withdraw(grantee.id), fields)

    def begin(self, by: Actor, patient: Patient, epochs: dict[str, bytes], **fields: Any) -> Message:
        """epoch.begin."""
        return self._wrapping(by, "epoch.begin", patient, EpochBegin(epochs), fields)

    def share(
        self, by: Actor, patient: Patient, to: Iterable[bytes], brings: Iterable[bytes], **changes: Any
    ) -> Message:
        """key.share."""
        payload = KeyShare(tuple(to), tuple(brings), bytes(32), changes.pop("part", None))
        return self.control(by, "key.share", patient.id, payload, **changes)

    def care(
        self, by: Actor, patient: Patient, sealed_to: bytes, compartment: str | None = "clinical", **changes: Any
    ) -> Message:
        """Care data: by default an Observation, sealed to an epoch (its id)."""
        body = changes.pop("body", None) or sha256(f"sealed/{next(self._cti)}".encode()) * 2
        header = self.header(
            by,
            changes.pop("type", "care.observation"),
            changes.pop("subject", patient.id),
            content_type=FHIR,
            compartment=compartment,
            epoch=sealed_to,
        )
        return Message(sign(by, replace(header, **changes), sha256(body)), body)

    def retract(
        self, by: Actor, patient: Patient, replaces: bytes | None, compartment: str | None = "clinical", **changes: Any
    ) -> Message:
        """care.retract."""
        changes |= {"replaces": replaces, "compartment": compartment}
        return self.control(by, "care.retract", patient.id, Retract("entered-in-error"), **changes)

    def _wrapping(
        self, by: Actor, event_type: str, patient: Patient, payload: Shape, fields: dict[str, Any]
    ) -> Message:
        named = {key: fields.pop(key) for key in ("epochs", "to", "brings", "body") if key in fields}
        for key in ("to", "brings"):
            if named.get(key) is not None:
                named[key] = tuple(named[key])
        if named.get("to") is not None:
            named.setdefault("body", bytes(32))
        whole = replace(payload, **named)
        return self.control(by, event_type, patient.id, whole, **fields)
