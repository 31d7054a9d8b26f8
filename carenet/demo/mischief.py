"""What must be refused: a dozen bad publications, each sent straight to Kafka, past the SDK that would not make them.

Each is decided by the fold like anything else, changes nothing, and is kept with its reason. A demo in which one of
them is accepted, or refused for another reason than the one that is due, is not clean.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from carenet.bus.publishing import Producer
from carenet.client.drafts import Care, build_care
from carenet.client.spool import Letter
from carenet.client.subjects import Epoch
from carenet.demo.cast import EMERGENCY, PHARMACY, TEAM
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import TransportError
from carenet.rules.reasons import Reason
from carenet.sealing.identity import Identity, create_identity
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, encode_record, partition_of
from carenet.statements.statement import parse_statement
from carenet.store.store import Store
from carenet.store.stored import StoredEntry

_DECIDED_S = 15.0
_POLL_S = 0.02
_HOUR_S, _DAY_S = 3600, 86_400
_CLINICAL = "clinical"
_NOTE = b'{"resourceType":"Observation","status":"final","code":{"text":"mischief"},"valueString":"mischief"}'


@dataclass(frozen=True, slots=True)
class Trick:
    """A bad publication.

    Attributes:
        what: in words.
        due: the reason for which it must be refused.
        make: makes the record's value, and tells whether it goes to its own partition.
    """

    what: str
    due: Reason
    make: Callable[[Mischief, Target], Forged]


@dataclass(frozen=True, slots=True)
class Forged:
    """A record's value, and whether it is sent to another partition than its subject's."""

    value: bytes
    is_astray: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Whom it is tried on.

    Attributes:
        subject: the patient's id, 32 bytes.
        partition: of the patient.
        epoch: the clinical compartment's current one.
        former: the id of the epoch before, or one that never was.
        accepted: a care event that dr-lee wrote about the patient.
    """

    subject: bytes
    partition: int
    epoch: Epoch
    former: bytes
    accepted: StoredEntry


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of a trick.

    Attributes:
        what: in words.
        due: the reason that was due.
        found: the reason that was given; None if it was accepted.
    """

    what: str
    due: str
    found: str | None

    @property
    def is_as_due(self) -> bool:
        """Whether it was refused, and for the right reason."""
        return self.found == self.due


class Mischief:
    """Tries tricks on a patient.

    Args:
        producer: to Kafka; opened by the caller.
        store: to see what became of them.
        genesis: the network's.
        identities: the cast's keys.
    """

    def __init__(self, producer: Producer, store: Store, genesis: Genesis, identities: dict[str, Identity]) -> None:
        self._producer = producer
        self._store = store
        self._genesis = genesis
        self.identities = identities

    async def find_target(self, subject: bytes) -> Target | None:
        """The patient as a target; None while dr-lee has written nothing about them."""
        key, network_key = encode_id(subject), encode_id(self._genesis.network_id)
        partition = partition_of(key, network_key, self._genesis.partitions)
        rows = (await self._store.epochs_of(partition, subject)).epochs
        row = next((row for row in rows if row.compartment == _CLINICAL), None)
        entries = await self._store.read_subject_entries(partition, subject, 0, 100)
        author = self.identities[TEAM[0]].id
        accepted = next((each for each in entries if each.issuer == author and each.compartment == _CLINICAL), None)
        if row is None or accepted is None:
            return None
        former = row.ids[-2] if len(row.ids) > 1 else secrets.token_bytes(16)
        epoch = Epoch(_CLINICAL, row.current, row.public, row.begun[-1])
        return Target(subject, partition, epoch, former, accepted)

    async def attempt(self, trick: Trick, target: Target) -> Attempt:
        """Send one and wait for the decision.

        Raises:
            TransportError: Kafka does not take it, or it is not decided in time.
        """
        forged = trick.make(self, target)
        partition = (target.partition + forged.is_astray) % self._genesis.partitions
        key = encode_id(target.subject).encode()
        sent = await self._producer.send(self._genesis.topic, partition, key, forged.value)
        return Attempt(trick.what, trick.due, await self._find_reason(sent.partition, sent.offset))

    async def _find_reason(self, partition: int, offset: int) -> str | None:
        try:
            async with asyncio.timeout(_DECIDED_S):
                while (await self._store.next_offsets()).get(partition, 0) <= offset:  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as exc:
            raise TransportError(f"record {offset} of partition {partition} is not decided; see worker.log") from exc
        rejection = await self._store.find_rejection(partition, offset)
        return None if rejection is None else rejection.reason

    def build(self, author: Identity, target: Target, *, cti: bytes | None = None, iat_s: int | None = None) -> Letter:
        """A sealed and signed event that would be in order if its author may write it."""
        draft = Care(target.subject, "care.observation", _CLINICAL, _NOTE, cti or secrets.token_bytes(16))
        now_s = int(time.time()) if iat_s is None else iat_s
        return build_care(draft, target.epoch, author, now_s)[1]


def _record(letter: Letter) -> Forged:
    return Forged(encode_record(RecordValue(letter.statement, letter.body)))


def _nobody(mischief: Mischief, target: Target) -> Forged:
    stranger = create_identity("stranger", mischief.identities[TEAM[0]].network, 0)
    return _record(mischief.build(stranger, target))


def _uninvited(mischief: Mischief, target: Target) -> Forged:
    return _record(mischief.build(mischief.identities[EMERGENCY], target))


def _out_of_role(mischief: Mischief, target: Target) -> Forged:
    return _record(mischief.build(mischief.identities[PHARMACY], target))


def _flipped(mischief: Mischief, target: Target) -> Forged:
    letter = mischief.build(mischief.identities[TEAM[0]], target)
    statement = letter.statement[:-1] + bytes([letter.statement[-1] ^ 1])  # the signature stands last
    return _record(replace(letter, statement=statement))


def _swapped(mischief: Mischief, target: Target) -> Forged:
    letter = mischief.build(mischief.identities[TEAM[0]], target)
    return _record(replace(letter, body=sha256(b"another body")))


def _replayed(_: Mischief, target: Target) -> Forged:
    return Forged(encode_record(RecordValue(target.accepted.statement, target.accepted.body)))


def _reused(mischief: Mischief, target: Target) -> Forged:
    cti = parse_statement(target.accepted.statement).header.cti
    return _record(mischief.build(mischief.identities[TEAM[0]], target, cti=cti))


def _from_tomorrow(mischief: Mischief, target: Target) -> Forged:
    return _record(mischief.build(mischief.identities[TEAM[0]], target, iat_s=int(time.time()) + _HOUR_S))


def _from_yesterday(mischief: Mischief, target: Target) -> Forged:
    return _record(mischief.build(mischief.identities[TEAM[0]], target, iat_s=int(time.time()) - _DAY_S))


def _stale(mischief: Mischief, target: Target) -> Forged:
    former = replace(target, epoch=replace(target.epoch, id=target.former))
    return _record(mischief.build(mischief.identities[TEAM[0]], former))


def _astray(mischief: Mischief, target: Target) -> Forged:
    return replace(_record(mischief.build(mischief.identities[TEAM[0]], target)), is_astray=True)


def _garbage(mischief: Mischief, target: Target) -> Forged:
    value = _record(mischief.build(mischief.identities[TEAM[0]], target)).value
    return Forged(value[: len(value) // 2])


TRICKS = (
    Trick("a key that nobody admitted signs an event", Reason.UNKNOWN_SIGNER, _nobody),
    Trick("the emergency room writes about a patient who is not on the way to it", Reason.NO_GRANT, _uninvited),
    Trick("the pharmacy writes a laboratory result", Reason.ROLE_FORBIDS, _out_of_role),
    Trick("one bit of a signature is flipped", Reason.BAD_SIGNATURE, _flipped),
    Trick("a signed event travels with another body", Reason.BODY_MISMATCH, _swapped),
    Trick("an accepted event is sent again, byte for byte", Reason.DUPLICATE, _replayed),
    Trick("an event's id is used again for other content", Reason.CONFLICTING_ID, _reused),
    Trick("an event claims to be signed in an hour", Reason.FUTURE, _from_tomorrow),
    Trick("an event was signed yesterday and kept back", Reason.TOO_OLD, _from_yesterday),
    Trick("an event is sealed to keys that are not the patient's current ones", Reason.STALE_EPOCH, _stale),
    Trick("an event is sent to another patient's partition", Reason.WRONG_PARTITION, _astray),
    Trick("half a record is sent", Reason.BAD_ENCODING, _garbage),
)
