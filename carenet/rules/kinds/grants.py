"""Grants and epochs: grant.give, grant.withdraw, epoch.begin, key.share.

1. Wraps come whole: `to`, `brings` and `body` together, or none of them.
2. Whoever is wrapped a key must be a reader of each compartment that is brought, after the statement, and not be
   suspended; one whose grant has no history gets no epoch that began before it (`not_a_reader`).
3. Each compartment that is brought is brought up to its current epoch (`stale_epoch`), so a rotation that raced this
   statement is noticed; an epoch that the subject never had is `unknown_epoch`.
4. A grant to read with history wraps to the grantee alone; one from now on carries the next epochs of its
   compartments, and a withdrawal the next epochs of all that its grantee could read (`epochs_incomplete`).
"""

from __future__ import annotations

from collections.abc import Iterable

from carenet.rules.access import READ, active
from carenet.rules.case import Case, is_suspended
from carenet.rules.changes import begun, ended, granted
from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochRow, EpochsKey, EpochsRow, GrantRow, GrantsKey, GrantsRow
from carenet.statements.keys import compute_epoch_id
from carenet.statements.payloads import EpochBegin, Give, KeyShare, Open, Withdraw

_Wrapping = Give | Withdraw | EpochBegin | KeyShare


def check_brought(case: Case) -> None:
    """Rules 1 and 3, which precede each type's own rules."""
    payload = case.payload
    if isinstance(payload, Open) or not isinstance(payload, _Wrapping):
        return
    parts = {part is None for part in (payload.to, payload.brings, payload.body)}
    case.require(len(parts) == 1, Reason.BAD_PAYLOAD, "payload.to, brings and body come together")
    brought = set(payload.brings or ())
    new = _new_ids(_begun(payload))
    unknown = brought - new - {known for epoch in _epochs(case) for known in epoch.ids}
    case.require(not unknown, Reason.UNKNOWN_EPOCH, "payload.brings names an epoch that the subject never had")
    for epoch in _epochs(case):
        if epoch.compartment not in _begun(payload) and brought.intersection(epoch.ids):
            current = epoch.current in brought
            case.require(current, Reason.STALE_EPOCH, f"{epoch.compartment} has a newer epoch", epoch.begun_by)


def check_give(case: Case, payload: Give) -> None:
    """The grantee, the compartments, the end, and rule 4."""
    grantee = case.view.participant(payload.grantee)
    case.require(grantee is not None, Reason.UNKNOWN_PARTICIPANT, "payload.grantee is not a participant")
    assert grantee is not None
    case.require(not is_suspended(grantee, case.view), Reason.SUSPENDED, "payload.grantee is suspended")
    _check_compartments(case, payload.compartments)
    ends_later = payload.until_ms is None or payload.until_ms > case.now_ms
    case.require(ends_later, Reason.ALREADY_ENDED, "payload.until_ms is not after the log's time")
    if READ not in payload.actions:
        plain = payload.to is None and payload.epochs is None
        case.require(plain, Reason.BAD_PAYLOAD, "a grant that reads nothing wraps nothing")
        return
    case.require(grantee.hpke is not None, Reason.UNKNOWN_PARTICIPANT, "payload.grantee has no HPKE key")
    case.require(payload.grantee in (payload.to or ()), Reason.EPOCHS_INCOMPLETE, "the grantee is wrapped nothing")
    if payload.history:
        _check_history(case, payload)
    else:
        _check_begun(case, payload.epochs, set(payload.compartments), payload.brings)
        _check_recipients(case, payload, after=(*_grants(case), _grant(case, payload)))


def check_withdraw(case: Case, payload: Withdraw) -> None:
    """There is something to end, and rule 4."""
    held = [grant for grant in _open_grants(case) if grant.grantee == payload.grantee]
    case.require(bool(held), Reason.ALREADY_ENDED, "payload.grantee has no grant here")
    _check_begun(case, payload.epochs, concerned(held), payload.brings)
    _check_recipients(case, payload, after=ended(_grants(case), payload.grantee, case.seq))


def check_epoch_begin(case: Case, payload: EpochBegin) -> None:
    """Known compartments, new keys, rule 2."""
    _check_compartments(case, payload.epochs)
    _check_begun(case, payload.epochs, set(payload.epochs), payload.brings)
    _check_recipients(case, payload, after=_grants(case))


def check_key_share(case: Case, payload: KeyShare) -> None:
    """Rule 2."""
    _check_recipients(case, payload, after=_grants(case))


def apply_give(case: Case, payload: Give) -> bool:
    """Add the grant, and begin the epochs that it carries."""
    _write_grants(case, (*_grants(case), _grant(case, payload)))
    return begin_epochs(case, payload.epochs)


def apply_withdraw(case: Case, payload: Withdraw) -> bool:
    """End the grants, and begin the epochs that it carries."""
    _write_grants(case, ended(_grants(case), payload.grantee, case.seq))
    return begin_epochs(case, payload.epochs)


def begin_epochs(case: Case, publics: dict[str, bytes] | None) -> bool:
    """Make the next epochs the current ones; whether there were any."""
    if not publics:
        return False
    seq, digest = case.seq, case.statement.digest
    rows = tuple(
        begun(epoch, name, publics[name], seq=seq, digest=digest) if (name := epoch.compartment) in publics else epoch
        for epoch in _epochs(case)
    )
    case.write(EpochsKey(case.statement.header.subject), EpochsRow(rows))
    return True


def concerned(grants: Iterable[GrantRow]) -> set[str]:
    """The compartments whose keys the holder of these grants has."""
    return {name for grant in grants if READ in grant.actions for name in grant.compartments}


def _check_history(case: Case, payload: Give) -> None:
    case.require(payload.epochs is None, Reason.BAD_PAYLOAD, "a grant with history begins no epoch")
    case.require(payload.to == (payload.grantee,), Reason.NOT_A_READER, "history is wrapped to the grantee alone")
    brought = set(payload.brings or ())
    covered = {epoch.compartment for epoch in _epochs(case) if brought.intersection(epoch.ids)}
    complete = covered == set(payload.compartments)
    case.require(complete, Reason.EPOCHS_INCOMPLETE, "payload.brings is not the epochs of payload.compartments")


def _check_begun(
    case: Case, publics: dict[str, bytes] | None, compartments: set[str], brings: tuple[bytes, ...] | None
) -> None:
    publics = publics or {}
    case.require(set(publics) == compartments, Reason.EPOCHS_INCOMPLETE, "payload.epochs is not the next of each")
    new = _new_ids(publics)
    known = {each for epoch in _epochs(case) for each in epoch.ids}
    case.require(len(new) == len(publics) and not new & known, Reason.STALE_EPOCH, "an epoch never begins twice")
    case.require(brings is None or set(brings) == new, Reason.EPOCHS_INCOMPLETE, "payload.brings is not payload.epochs")


def _check_recipients(case: Case, payload: _Wrapping, after: tuple[GrantRow, ...]) -> None:
    for recipient in payload.to or ():
        fit = _may_hold(case, recipient, payload, after)
        case.require(fit, Reason.NOT_A_READER, "payload.to names one that may not read what is brought")


def _may_hold(case: Case, recipient: bytes, payload: _Wrapping, after: tuple[GrantRow, ...]) -> bool:
    assert case.subject is not None
    row = case.view.participant(recipient)
    if row is None or is_suspended(row, case.view):
        return False  # custodians too: a rotation after a suspension must not hand out the new key
    if recipient in case.subject.custodians:
        return True
    held = [g for g in active(after, case.now_ms) if g.grantee == recipient and READ in g.actions]
    brought = set(payload.brings or ())
    for epoch in _epochs(case):
        if epoch.compartment in _begun(payload):
            places = [case.seq]  # what is brought of this compartment is its new epoch
        else:
            places = [seq for known, seq in zip(epoch.ids, epoch.begun, strict=True) if known in brought]
        covering = [grant for grant in held if epoch.compartment in grant.compartments]
        if places and not any(grant.history or grant.from_seq <= min(places) for grant in covering):
            return False
    return True


def _check_compartments(case: Case, names: Iterable[str]) -> None:
    known = {epoch.compartment for epoch in _epochs(case)}
    case.require(set(names) <= known, Reason.UNKNOWN_COMPARTMENT, "the subject has no such compartment")


def _begun(payload: _Wrapping) -> dict[str, bytes]:
    return {} if isinstance(payload, KeyShare) else payload.epochs or {}


def _new_ids(publics: dict[str, bytes]) -> set[bytes]:
    return {compute_epoch_id(public) for public in publics.values()}


def _epochs(case: Case) -> tuple[EpochRow, ...]:
    return case.view.epochs(case.statement.header.subject).epochs


def _grants(case: Case) -> tuple[GrantRow, ...]:
    return case.view.grants(case.statement.header.subject).grants


def _open_grants(case: Case) -> list[GrantRow]:
    """Grants that nothing has ended; expired ones too, so that what they opened can be rotated away."""
    return [grant for grant in _grants(case) if grant.to_seq is None]


def _grant(case: Case, payload: Give) -> GrantRow:
    return granted(payload, seq=case.seq, digest=case.statement.digest)


def _write_grants(case: Case, grants: tuple[GrantRow, ...]) -> None:
    case.write(GrantsKey(case.statement.header.subject), GrantsRow(grants))
