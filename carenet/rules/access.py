"""Who may read what: the one rule, for the fold, the gateway and the model that they are tested against.

A reader gets entry i iff, at the head that has been applied (h >= i), its grant is active (clock < until), covers i's
compartment, and includes history or began at or before i. Entries without a compartment go to every active reader.
Custodians count as readers of everything, with history (ARCHITECTURE section 6).
"""

from __future__ import annotations

from collections.abc import Iterable

from carenet.rules.rows import GrantRow, SubjectRow

READ, WRITE, MANAGE = "read", "write", "manage"


def active(grants: Iterable[GrantRow], now_ms: int) -> list[GrantRow]:
    """The grants that have neither been ended nor expired at `now_ms`."""
    return [grant for grant in grants if grant.to_seq is None and (grant.until_ms is None or now_ms < grant.until_ms)]


def may_read(
    reader: bytes, subject: SubjectRow, grants: Iterable[GrantRow], entry: tuple[int, str | None], now_ms: int
) -> bool:
    """Whether a reader may be sent an entry.

    Args:
        reader: participant id, 32 bytes.
        subject: the entry's subject, as of the applied head.
        grants: the subject's grants, as of the applied head.
        entry: its sequence number and compartment.
        now_ms: the later of the head's log time and the clock.
    """
    return reader in subject.custodians or any(
        grant.grantee == reader and _shows(grant, entry) for grant in active(grants, now_ms)
    )


def who_may_read(
    subject: SubjectRow, grants: Iterable[GrantRow], entry: tuple[int, str | None], now_ms: int
) -> set[bytes]:
    """Everybody who may be sent an entry, in one walk along the grants; arguments as in `may_read`."""
    return {grant.grantee for grant in active(grants, now_ms) if _shows(grant, entry)} | set(subject.custodians)


def _shows(grant: GrantRow, entry: tuple[int, str | None]) -> bool:
    """Whether an active grant shows an entry."""
    seq, compartment = entry
    return (
        READ in grant.actions
        and (compartment is None or compartment in grant.compartments)
        and (grant.history or grant.from_seq <= seq)
    )
