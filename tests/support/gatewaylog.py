"""A committed log for the gateway's pure parts: entries made by hand, and a naive memory of who may read them.

The fold is not asked: the tests that hold the gateway's view against the fold bring the fold's own entries. `Log` is
the database; `plainly_may_read` says who may read by going through the whole history each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from carenet.gateway.authority import Authority
from carenet.ledger.entry import NO_PREV, Entry
from carenet.rules.effects import Accepted
from carenet.rules.rows import ParticipantRow, SubjectRow
from carenet.statements.payloads import Give, Open, Withdraw
from carenet.statements.statement import parse_statement
from carenet.store.stored import Head, StoredEntry, StoredGrant
from tests.support.simulator import Network
from tests.support.world import Message, Patient, World


def stored(partition: int, accepted: Accepted) -> StoredEntry:
    """An entry of the fold as the store would hand it out."""
    header = accepted.statement.header
    return StoredEntry(
        partition=partition,
        index=accepted.index,
        subject=accepted.entry.subject,
        seq=accepted.entry.seq,
        entry=accepted.entry.encode(),
        statement=accepted.statement.encoded,
        digest=accepted.statement.digest,
        body=accepted.body,
        issuer=header.issuer,
        type=header.type,
        compartment=header.compartment,
        offset=accepted.offset,
        log_append_time_ms=accepted.log_append_time_ms,
    )


@dataclass
class Log:
    """Partitions of committed entries, appended without judging.

    Attributes:
        world: the actors.
        entries: by partition.
    """

    world: World
    entries: list[list[StoredEntry]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entries = [[] for _ in range(self.world.genesis.partitions)]

    def append(self, message: Message) -> StoredEntry:
        """Commit a message as the next entry of its partition and subject."""
        subject = message.statement.header.subject
        partition = self.world.partition(subject)
        log = self.entries[partition]
        chain = self.of(partition, subject)
        prev = chain[-1].entry if chain else None
        entry = Entry(
            subject=subject,
            seq=len(chain),
            prev=NO_PREV if prev is None else bytes([1]) * 32,
            digest=message.statement.digest,
            log_time_ms=self.world.clock_ms,
        )
        accepted = Accepted(
            len(log), len(log), entry, entry.encode(), message.statement, message.body, self.world.clock_ms
        )
        log.append(stored(partition, accepted))
        return log[-1]

    def of(self, partition: int, subject: bytes) -> list[StoredEntry]:
        """A subject's entries."""
        return [each for each in self.entries[partition] if each.subject == subject]


def plainly_may_read(log: Log, reader: bytes, entry: StoredEntry, head: int, now_ms: int) -> bool:
    """Whether a reader may get an entry at a head (number of applied entries), from the history alone."""

    grants: list[tuple[int, Give]] = []
    custodians: tuple[bytes, ...] = ()
    for each in log.entries[entry.partition][:head]:
        if each.subject != entry.subject or each.type.startswith("care."):
            continue
        control = parse_statement(each.statement).control
        if each.type == "subject.open":
            custodians = Open.parse(control).custodians
        elif each.type == "grant.give":
            grants.append((each.seq, Give.parse(control)))
        elif each.type == "grant.withdraw":
            grantee = Withdraw.parse(control).grantee
            grants = [(seq, given) for seq, given in grants if given.grantee != grantee]
    if reader in custodians:
        return True
    return any(
        given.grantee == reader
        and "read" in given.actions
        and (given.until_ms is None or now_ms < given.until_ms)
        and (entry.compartment is None or entry.compartment in given.compartments)
        and (given.history or seq <= entry.seq)
        for seq, given in grants
    )


def opened(log: Log, patient: Patient) -> StoredEntry:
    """The hospital opens a patient's timeline."""
    return log.append(log.world.open(log.world.hospital, patient, [log.world.hospital]))


def view_of(network: Network) -> Authority:
    """The gateway's view as a snapshot of the network's replicas gives it."""
    authority = Authority(network.world.genesis.partitions)
    for partition, replica in enumerate(network.replicas):
        rows = list(replica.rows.values())
        authority.load(
            Head(partition, 0, replica.state.tree.size, replica.state.log_time_ms, 0),
            [row for row in rows if isinstance(row, ParticipantRow)],
            [row for row in rows if isinstance(row, SubjectRow)],
            [
                StoredGrant(partition, subject, grant)
                for subject, given in replica.given.items()
                for grant in given.values()
                if grant.to_seq is None
            ],
        )
    return authority
