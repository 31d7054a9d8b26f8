"""What an accepted control statement makes of a row: for the fold, and for whoever follows its entries afterwards.

The gateway's view and the SDK's apply entries that the fold has accepted; they use these very functions, so that a
grant is the same grant everywhere. Nothing here checks anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from carenet.encoding.cose import compute_thumbprint
from carenet.ledger.entry import NO_PREV
from carenet.rules.rows import EpochRow, GrantRow, ParticipantRow, SubjectRow
from carenet.statements.keys import compute_epoch_id
from carenet.statements.payloads import Admit, Give, Open, Rotate


def admitted(payload: Admit, digest: bytes) -> ParticipantRow:
    """A participant after its admission."""
    return ParticipantRow(
        id=compute_thumbprint(payload.sign),
        name=payload.name,
        organisation=payload.organisation,
        roles=payload.roles,
        may_give=payload.may_give,
        sign=payload.sign,
        hpke=payload.hpke,
        statements=(digest,),
    )


def rotated(row: ParticipantRow, payload: Rotate, digest: bytes) -> ParticipantRow:
    """A participant with its new keys; the HPKE key stays where none is named."""
    return replace(
        row,
        sign=payload.sign,
        hpke=payload.hpke or row.hpke,
        retired=(*row.retired, compute_thumbprint(row.sign)),
        statements=(*row.statements, digest),
    )


def suspended(row: ParticipantRow) -> ParticipantRow:
    """A participant after its suspension."""
    return replace(row, suspended=True)


def opened(subject: bytes, payload: Open) -> SubjectRow:
    """A subject before its first entry."""
    return SubjectRow(subject, payload.kind, 0, NO_PREV, payload.custodians, payload.write, payload.emergency)


def begun(epoch: EpochRow | None, name: str, public: bytes, *, seq: int, digest: bytes) -> EpochRow:
    """A compartment with its next epoch, or its first one.

    Args:
        epoch: the compartment before, or None.
        name: the compartment's.
        public: the new epoch's HPKE public key.
        seq: of the entry that begins it.
        digest: of the statement that begins it.
    """
    ids, places = (epoch.ids, epoch.begun) if epoch else ((), ())
    return EpochRow(name, (*ids, compute_epoch_id(public)), (*places, seq), public, digest)


def granted(payload: Give, *, seq: int, digest: bytes) -> GrantRow:
    """The grant that a statement at `seq` gives."""
    return GrantRow(
        id=digest,
        grantee=payload.grantee,
        actions=payload.actions,
        compartments=payload.compartments,
        history=payload.history,
        from_seq=seq,
        until_ms=payload.until_ms,
        purpose=payload.purpose,
    )


def ended(grants: Iterable[GrantRow], grantee: bytes, seq: int) -> tuple[GrantRow, ...]:
    """Grants after a withdrawal at `seq` ended those of a grantee that nothing had ended before."""
    return tuple(
        replace(grant, to_seq=seq) if grant.grantee == grantee and grant.to_seq is None else grant for grant in grants
    )
