"""A patient's timeline: opening, care data, grants and epochs (ARCHITECTURE section 6).

Who may say what:
1. A registrar opens a timeline whose id is the thumbprint of an opening key that signed the whole content.
2. Care data is written by an active grant to write (the signer's own or its organisation's), or by a standing choice.
3. Grants are given and withdrawn by the first custodian that is not suspended, or by a holder of `manage`.
4. Epochs are begun and keys shared by any custodian, or by a holder of `manage`.
The rules of each type stand beside it: `opening`, `grants` and `care` in this folder.
"""

from __future__ import annotations

from collections.abc import Iterable

from carenet.rules.access import MANAGE, WRITE, active
from carenet.rules.case import Case, is_suspended, participants_with_organisations, payload_if_valid
from carenet.rules.kinds import care, grants, opening
from carenet.rules.reasons import Reason
from carenet.rules.rows import AcceptedKey, GrantRow, Key, ReactionKey, SubjectKey, SubjectRow
from carenet.rules.view import View
from carenet.statements.header import Header
from carenet.statements.payloads import EpochBegin, Give, KeyShare, Open, Withdraw
from carenet.statements.statement import Statement

_CONTROL = {"subject.open", "grant.give", "grant.withdraw", "epoch.begin", "key.share"}


class PatientRulebook:
    """See the module header."""

    kind = "patient"

    def knows(self, event_type: str) -> bool:
        """Whether the type is care data or one of a patient's control types."""
        return event_type in _CONTROL or event_type.startswith("care.")

    def needs(self, statement: Statement, view: View) -> Iterable[Key]:
        """Custodians, grantee, who is wrapped to, the author of what is corrected, and whether a reaction was done."""
        payload = payload_if_valid(statement)
        named = list(payload.custodians) if isinstance(payload, Open) else []
        named += [payload.grantee] if isinstance(payload, Give) else []
        named += (payload.to or ()) if isinstance(payload, Give | Withdraw | EpochBegin | KeyShare) else ()
        key = SubjectKey(statement.header.subject)
        subject = view.subject(key.subject) if key in view else None
        named += subject.custodians if subject else ()
        named += _author(statement.header, view)
        yield from participants_with_organisations(named, view)
        yield from _reactions(statement, payload)

    def check_permission(self, case: Case) -> None:
        """Rules 2 to 4; rule 1 is the role's."""
        event_type = case.statement.header.type
        if event_type.startswith("care."):
            case.require(_may_write(case), Reason.NO_GRANT, "no active grant or standing choice to write here")
        elif isinstance(case.payload, Give | Withdraw):
            allowed = _decider(case) == _signer(case) or _holds_manage(case)
            case.require(allowed, Reason.NOT_DECIDER, "neither the deciding custodian nor a holder of manage")
        elif isinstance(case.payload, EpochBegin | KeyShare):
            assert case.subject is not None
            allowed = _signer(case) in case.subject.custodians or _holds_manage(case)
            case.require(allowed, Reason.NOT_DECIDER, "neither a custodian nor a holder of manage")

    def check_compartment(self, case: Case) -> None:
        """Care data lies in one compartment that the subject has; control statements in none."""
        compartment = case.statement.header.compartment
        if not case.statement.header.type.startswith("care."):
            case.require(compartment is None, Reason.UNKNOWN_COMPARTMENT, "this type has no compartment")
            return
        known = {epoch.compartment for epoch in case.view.epochs(case.statement.header.subject).epochs}
        case.require(compartment in known, Reason.UNKNOWN_COMPARTMENT, "the subject has no such compartment")

    def reactions(self, case: Case) -> tuple[ReactionKey, ...]:
        """epoch.begin once a trigger and compartment, key.share once a trigger, issuer and part."""
        return _reactions(case.statement, case.payload)

    def check_epoch(self, case: Case) -> None:
        """Care data is sealed to the current epoch; wraps bring each compartment's current key."""
        if case.statement.is_control:
            case.require(case.statement.header.epoch is None, Reason.BAD_PAYLOAD, "a control statement has no epoch")
            grants.check_brought(case)
        else:
            care.check_epoch(case)

    def check_transition(self, case: Case) -> None:
        """The rules of the type."""
        if isinstance(case.payload, Open):
            opening.check_open(case, case.payload)
        elif isinstance(case.payload, Give):
            grants.check_give(case, case.payload)
        elif isinstance(case.payload, Withdraw):
            grants.check_withdraw(case, case.payload)
        elif isinstance(case.payload, EpochBegin):
            grants.check_epoch_begin(case, case.payload)
        elif isinstance(case.payload, KeyShare):
            grants.check_key_share(case, case.payload)
        else:
            care.check_correction(case)

    def lasting_until_ms(self, case: Case) -> int | None:
        """The end of the longest grant that allows the care data; None where nothing but a statement ends it."""
        if _may_write_unasked(case):
            return None
        ends = [grant.until_ms for grant in _grants_of(case, WRITE, case.statement.header.compartment)]
        known = [end for end in ends if end is not None]
        return max(known) if len(known) == len(ends) else None

    def apply(self, case: Case) -> bool:
        """Write subject, grants and epochs; a checkpoint is due at once when an epoch began."""
        if isinstance(case.payload, Open):
            return opening.apply_open(case, case.payload)
        if isinstance(case.payload, Give):
            return grants.apply_give(case, case.payload)
        if isinstance(case.payload, Withdraw):
            return grants.apply_withdraw(case, case.payload)
        if isinstance(case.payload, EpochBegin):
            return grants.begin_epochs(case, case.payload.epochs)
        return False


def _signer(case: Case) -> bytes:
    assert case.signer is not None
    return case.signer.id


def _decider(case: Case) -> bytes | None:
    """The first custodian that is not suspended."""
    assert isinstance(case.subject, SubjectRow)
    for custodian in case.subject.custodians:
        row = case.view.participant(custodian)
        if row is not None and not is_suspended(row, case.view):
            return custodian
    return None


def _grants_of(case: Case, action: str, compartment: str | None) -> list[GrantRow]:
    """The active grants that allow the signer, or its organisation, an action."""
    holders = {_signer(case), case.organisation()}
    return [
        grant
        for grant in active(case.view.grants(case.statement.header.subject).grants, case.now_ms)
        if grant.grantee in holders
        and action in grant.actions
        and (not compartment or compartment in grant.compartments)
    ]


def _holds_manage(case: Case) -> bool:
    return bool(_grants_of(case, MANAGE, None))


def _may_write_unasked(case: Case) -> bool:
    assert case.subject is not None
    assert case.signer is not None
    return not set(case.subject.write).isdisjoint(case.signer.roles)


def _may_write(case: Case) -> bool:
    return _may_write_unasked(case) or bool(_grants_of(case, WRITE, case.statement.header.compartment))


def _author(header: Header, view: View) -> list[bytes]:
    if header.replaces is None or AcceptedKey(header.subject, header.replaces) not in view:
        return []
    replaced = view.accepted(header.subject, header.replaces)
    return [replaced.issuer] if replaced else []


def _reactions(statement: Statement, payload: object) -> tuple[ReactionKey, ...]:
    trigger, event_type = statement.header.trigger, statement.header.type
    if trigger is None:
        return ()
    # One trigger, such as a suspension, concerns many subjects of a partition: each reacts once.
    subject = statement.header.subject
    if isinstance(payload, EpochBegin):
        return tuple(ReactionKey(event_type, trigger, subject + name.encode()) for name in sorted(payload.epochs))
    if isinstance(payload, KeyShare):
        part = (payload.part or 0).to_bytes(2, "big")
        return (ReactionKey(event_type, trigger, subject + statement.header.issuer + part),)
    return ()
