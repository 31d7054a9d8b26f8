"""The decision state of one partition: what the fold reads and writes, as keys and frozen rows.

A key names a row whether it exists or not; a view leads from a loaded key to its row, or to None where there is none.
Keys are tuples, since every record asks for several and tuples hash fastest; the table is part of a key, so that a
subject and a participant of one id are two keys.
Replicas hold equal rows after equal records, so nothing here depends on when or where the fold runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from carenet.ledger.tree import Tree


class ParticipantKey(NamedTuple):
    """A key holder, by id (32 bytes)."""

    id: bytes
    table: Literal["participants"] = "participants"


class SubjectKey(NamedTuple):
    """What a timeline is about, by id (32 bytes)."""

    subject: bytes
    table: Literal["subjects"] = "subjects"


class EpochsKey(NamedTuple):
    """All compartments' epochs of a subject."""

    of_subject: bytes
    table: Literal["epochs"] = "epochs"


class GrantsKey(NamedTuple):
    """All active grants of a subject."""

    on_subject: bytes
    table: Literal["grants"] = "grants"


class IdempotencyKey(NamedTuple):
    """A used (subject, issuer, cti), by 16 bytes of SHA-256(iss ‖ cti)."""

    in_subject: bytes
    iss_cti: bytes
    table: Literal["idempotency"] = "idempotency"


class AcceptedKey(NamedTuple):
    """An accepted statement of a subject, by digest; the fold reads these rows and appending an entry makes them."""

    in_timeline: bytes
    digest: bytes
    table: Literal["entries"] = "entries"


class ReactionKey(NamedTuple):
    """A reaction that must happen once: type, trigger, subject, and what else the type states (compartment, issuer)."""

    type: str
    trigger: bytes
    more: bytes
    table: Literal["reactions"] = "reactions"


Key = ParticipantKey | SubjectKey | EpochsKey | GrantsKey | IdempotencyKey | AcceptedKey | ReactionKey


@dataclass(frozen=True, slots=True)
class ParticipantRow:
    """A participant as the log says.

    Attributes:
        id: 32 bytes, thumbprint of its first signing key.
        name: what its admission calls it.
        organisation: the organisation that it falls with, or None.
        roles: what it may sign (roles.toml).
        may_give: roles that it may give to its own members.
        sign: its current Ed25519 public key.
        hpke: its current HPKE public key (1,216 bytes), or None.
        retired: kids of its earlier signing keys.
        statements: digests of its admission and rotations, in order; empty for those of the genesis.
        suspended: whether it has been suspended itself (its organisation may be besides).
    """

    id: bytes
    name: str
    organisation: bytes | None
    roles: tuple[str, ...]
    may_give: tuple[str, ...]
    sign: bytes
    hpke: bytes | None
    retired: tuple[bytes, ...] = ()
    statements: tuple[bytes, ...] = ()
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A subject and the head of its chain.

    Attributes:
        subject: 32 bytes.
        kind: `network` or `patient`.
        next_seq: sequence number of its next entry.
        head: leaf hash of its last entry, 32 zero bytes before the first.
        custodians: participants that hold its epoch keys, the deciding one first.
        write: roles that may write unasked.
        emergency: whether emergency access is allowed.
    """

    subject: bytes
    kind: str
    next_seq: int
    head: bytes
    custodians: tuple[bytes, ...] = ()
    write: tuple[str, ...] = ()
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One compartment's epochs.

    Attributes:
        compartment: a name.
        ids: every epoch's id (16 bytes), the current one last.
        begun: the sequence number of the entry that began each of them, in the same order.
        public: the current epoch's HPKE public key (1,216 bytes).
        begun_by: digest of the statement that began the current epoch.
    """

    compartment: str
    ids: tuple[bytes, ...]
    begun: tuple[int, ...]
    public: bytes
    begun_by: bytes

    @property
    def current(self) -> bytes:
        """The current epoch's id."""
        return self.ids[-1]


@dataclass(frozen=True, slots=True)
class EpochsRow:
    """All compartments of one subject, ordered by name."""

    epochs: tuple[EpochRow, ...]


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One grant.

    Attributes:
        id: digest of the statement that gave it.
        grantee: 32 bytes.
        actions: subset of read, write, manage.
        compartments: names.
        history: whether entries before `from_seq` are included.
        from_seq: the giving entry's sequence number.
        until_ms: when it ends by itself, or None.
        purpose: purpose of use, a name.
        to_seq: the ending entry's sequence number, or None while it is active.
    """

    id: bytes
    grantee: bytes
    actions: tuple[str, ...]
    compartments: tuple[str, ...]
    history: bool
    from_seq: int
    until_ms: int | None
    purpose: str
    to_seq: int | None = None


@dataclass(frozen=True, slots=True)
class GrantsRow:
    """Grants of one subject in the order in which they were given; a loaded row holds the active ones only."""

    grants: tuple[GrantRow, ...]


class IdempotencyRow(NamedTuple):
    """The statement that used an id: its digest and tag."""

    digest: bytes
    tag: bytes | None


@dataclass(frozen=True, slots=True)
class AcceptedRow:
    """An accepted statement: its place and what a correction of it must match."""

    seq: int
    issuer: bytes
    type: str
    compartment: str | None


@dataclass(frozen=True, slots=True)
class ReactionRow:
    """The statement that did it."""

    digest: bytes


Row = ParticipantRow | SubjectRow | EpochsRow | GrantsRow | IdempotencyRow | AcceptedRow | ReactionRow


def settled(row: Row | None) -> Row | None:
    """A row that the fold wrote, as the store loads it afterwards: ended grants left out."""
    if isinstance(row, GrantsRow):
        grants = tuple(grant for grant in row.grants if grant.to_seq is None)
        return GrantsRow(grants) if grants else None
    return row


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition's place in its log.

    Attributes:
        partition: its number.
        next_offset: the first Kafka offset that has not been decided.
        log_time_ms: the last accepted record's time.
        tree: the Merkle tree's frontier; treat as immutable (`fold` copies it).
    """

    partition: int
    next_offset: int
    log_time_ms: int
    tree: Tree
