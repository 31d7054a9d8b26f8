"""Care data: sealed to the current epoch of its compartment; corrections and retractions name what they mend.

A correction (`replaces`) or `care.retract` names an accepted care statement of the same subject and compartment, and
comes from its issuer or from a member of the issuer's organisation: others write an event of their own.
"""

from __future__ import annotations

from carenet.rules.case import Case
from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochRow, ParticipantRow


def check_epoch(case: Case) -> None:
    """The header's epoch is the compartment's current one."""
    header = case.statement.header
    epoch = _epoch_of(case, header.compartment)
    case.require(header.epoch == epoch.current, Reason.STALE_EPOCH, "epoch is not the current one", epoch.begun_by)


def check_correction(case: Case) -> None:
    """What a correction or retraction must match."""
    header = case.statement.header
    if header.replaces is None:
        case.require(header.type != "care.retract", Reason.UNKNOWN_REPLACED, "a retraction names what it retracts")
        return
    replaced = case.view.accepted(header.subject, header.replaces)
    fit = replaced is not None and replaced.type.startswith("care.") and replaced.compartment == header.compartment
    case.require(fit, Reason.UNKNOWN_REPLACED, "replaces is not care data of this subject and compartment")
    assert replaced is not None
    assert case.signer is not None
    own = replaced.issuer == header.issuer or _is_colleague(case, case.signer, replaced.issuer)
    case.require(own, Reason.NOT_AUTHOR, "replaces was written by another organisation")


def _is_colleague(case: Case, signer: ParticipantRow, author: bytes) -> bool:
    row = case.view.participant(author)
    houses = {signer.id, signer.organisation} - {None}
    return row is not None and bool(houses & {row.id, row.organisation})


def _epoch_of(case: Case, compartment: str | None) -> EpochRow:
    epochs = case.view.epochs(case.statement.header.subject).epochs
    return next(epoch for epoch in epochs if epoch.compartment == compartment)
