"""What each watcher should have been pushed, found without the gateway: from the store's entries by the plain rule.

The gateway keeps an authorisation view, wakes on notifications and reads by cursor; here one asks `may_read` of every
entry alone. An entry was readable while the grants that held *at its own place in the chain* said so (a withdrawal
takes effect between two entries), or becomes so by a later grant with history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from carenet.rules.access import may_read
from carenet.rules.rows import GrantRow, SubjectRow

Place = tuple[int, int]  # partition, index


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry, as far as access goes.

    Attributes:
        partition, index: its place in the log.
        subject: 32 bytes.
        seq: its place in its subject's chain.
        compartment: or None.
    """

    partition: int
    index: int
    subject: bytes
    seq: int
    compartment: str | None


def find_expected(
    reader: bytes,
    entries: Iterable[Logged],
    subjects: Mapping[bytes, SubjectRow],
    grants: Mapping[bytes, Sequence[GrantRow]],
    now_ms: int,
) -> set[Place]:
    """The places of the entries that a reader was entitled to when it watched all along.

    Args:
        reader: participant id, 32 bytes.
        entries: the run's.
        subjects: by id, as of now; custodians never change.
        grants: by subject, ended ones too.
        now_ms: the clock, for grants that expire; the demo gives none that do so while it runs.
    """
    return {
        (entry.partition, entry.index)
        for entry in entries
        if entry.subject in subjects
        and may_read(
            reader,
            subjects[entry.subject],
            _as_of(grants.get(entry.subject, ()), entry.seq),
            (entry.seq, entry.compartment),
            now_ms,
        )
    }


def _as_of(grants: Sequence[GrantRow], seq: int) -> list[GrantRow]:
    """The grants that had not been ended before the entry at `seq`; the entry that ends one is not shown under it."""
    return [replace(grant, to_seq=None) for grant in grants if grant.to_seq is None or seq < grant.to_seq]
