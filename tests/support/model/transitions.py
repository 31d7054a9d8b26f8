"""What each type demands of the state before it, from ARCHITECTURE section 6 and the words of the payloads.

The text does not order these rules, so each yields its reason whether or not another did.
"""

from __future__ import annotations

from collections.abc import Iterator

from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import is_admissible_key, is_valid_signature
from carenet.statements.payloads import Admit, Open, Rotate
from tests.support.model.case import Case
from tests.support.model.timeline import Grant, end_grants, epoch_id, grant_of


def transition(case: Case) -> Iterator[str]:
    """The reasons for which the rulebook's own transition refuses."""
    return _correction(case) if case.type.startswith("care.") else _RULES[case.type](case)


def _admit(case: Case) -> Iterator[str]:
    payload = Admit.parse(case.said)
    if not is_admissible_key(payload.sign):
        yield "bad_public_key"
    if compute_thumbprint(payload.sign) in case.people:
        yield "known_participant"
    if {"authority", "node"} & set(payload.roles + payload.may_give):
        yield "role_not_given"
    if payload.organisation is not None:
        house = case.people.get(payload.organisation)
        if house is None or house.organisation is not None:
            yield "unknown_participant"
        elif house.suspended:
            yield "suspended"
        if payload.may_give:
            yield "role_not_given"
    if not is_valid_signature(payload.sign, payload.proof, payload.binding(case.timeline.network, case.header.issuer)):
        yield "bad_proof"


def _rotate(case: Case) -> Iterator[str]:
    payload, target = Rotate.parse(case.said), case.people.get(case.said["participant"])
    if target is None:
        yield "unknown_participant"
        return
    if "node" in target.roles:
        yield "role_forbids"
    if case.timeline.is_suspended(target.id):
        yield "suspended"
    if not is_admissible_key(payload.sign):
        yield "bad_public_key"
    if compute_thumbprint(payload.sign) in [*target.had, compute_thumbprint(target.sign)]:
        yield "stale_key"
    if not is_valid_signature(payload.sign, payload.proof, payload.binding(case.timeline.network, case.header.issuer)):
        yield "bad_proof"


def _suspend(case: Case) -> Iterator[str]:
    target = case.people.get(case.said["participant"])
    if target is None:
        yield "unknown_participant"
        return
    if {"authority", "node"} & set(target.roles):
        yield "role_forbids"
    if target.suspended:
        yield "already_ended"


def _open(case: Case) -> Iterator[str]:
    payload = Open.parse(case.said)
    if not is_admissible_key(payload.opening):
        yield "bad_public_key"
    binding = payload.binding(case.timeline.network, case.header.issuer)
    if compute_thumbprint(payload.opening) != case.header.subject or not is_valid_signature(
        payload.opening, payload.proof, binding
    ):
        yield "bad_proof"
    if not set(payload.epochs) <= {"clinical", "medication", "identity"}:
        yield "unknown_compartment"
    for custodian in payload.custodians:
        person = case.people.get(custodian)
        if person is None or "custodian" not in person.roles or person.hpke is None:
            yield "unknown_participant"
        elif case.timeline.is_suspended(custodian):
            yield "suspended"
    first = [epoch_id(public) for public in payload.epochs.values()]
    if len(set(first)) != len(first) or set(payload.brings) != set(first):
        yield "epochs_incomplete"
    if set(payload.to) - set(payload.custodians):
        yield "not_a_reader"
    if set(payload.custodians) - set(payload.to):
        yield "epochs_incomplete"


def _give(case: Case) -> Iterator[str]:
    said, epochs = case.said, case.timeline.epochs(case.header.subject)
    grantee = case.people.get(said["grantee"])
    if grantee is None:
        yield "unknown_participant"
    elif case.timeline.is_suspended(grantee.id):
        yield "suspended"
    if not set(said["compartments"]) <= set(epochs):
        yield "unknown_compartment"
    if said["until_ms"] is not None and said["until_ms"] <= case.now_ms:
        yield "already_ended"
    if "read" not in said["actions"]:
        if "to" in said or "epochs" in said:
            yield "bad_payload"
        return
    if grantee is not None and grantee.hpke is None:
        yield "unknown_participant"
    if said["grantee"] not in said.get("to", []):
        yield "epochs_incomplete"
    yield from _give_history(case) if said["history"] else _give_from_now_on(case)


def _give_history(case: Case) -> Iterator[str]:
    said = case.said
    if "epochs" in said:
        yield "bad_payload"
    if said.get("to") != [said["grantee"]]:
        yield "not_a_reader"
    brought = set(said.get("brings", []))
    epochs = case.timeline.epochs(case.header.subject)
    if {name for name, known in epochs.items() if brought & {each for each, _ in known}} != set(said["compartments"]):
        yield "epochs_incomplete"


def _give_from_now_on(case: Case) -> Iterator[str]:
    yield from _next(case, set(case.said["compartments"]))
    given = grant_of(case.said, len(case.lines))
    yield from _recipients(case, [*case.timeline.grants(case.header.subject), given])


def _withdraw(case: Case) -> Iterator[str]:
    held = [
        grant
        for grant in case.timeline.grants(case.header.subject)
        if grant.ends is None and grant.grantee == case.said["grantee"]
    ]
    if not held:
        yield "already_ended"
    could_read = {name for grant in held if "read" in grant.actions for name in grant.compartments}
    yield from _next(case, could_read)
    after = case.timeline.grants(case.header.subject)
    end_grants(after, case.said["grantee"], len(case.lines))
    yield from _recipients(case, after)


def _begin(case: Case) -> Iterator[str]:
    if not set(case.said["epochs"]) <= set(case.timeline.epochs(case.header.subject)):
        yield "unknown_compartment"
    yield from _next(case, set(case.said["epochs"]))
    yield from _recipients(case, case.timeline.grants(case.header.subject))


def _share(case: Case) -> Iterator[str]:
    yield from _recipients(case, case.timeline.grants(case.header.subject))


def _next(case: Case, compartments: set[str]) -> Iterator[str]:
    """The statement begins the next epoch of exactly these compartments, and brings no others."""
    begun = case.said.get("epochs", {})
    if set(begun) != compartments:
        yield "epochs_incomplete"
    new = [epoch_id(public) for public in begun.values()]
    ever = {each for known in case.timeline.epochs(case.header.subject).values() for each, _ in known}
    if len(set(new)) != len(new) or set(new) & ever:
        yield "stale_epoch"
    if "brings" in case.said and set(case.said["brings"]) != set(new):
        yield "epochs_incomplete"


def _recipients(case: Case, after: list[Grant]) -> Iterator[str]:
    """Each recipient reads all that is brought: custodians do, others from their grant on, the suspended nothing."""
    begun = case.said.get("epochs", {})
    brought = [(name, len(case.lines)) for name in begun]
    for name, known in case.timeline.epochs(case.header.subject).items():
        if name not in begun:
            brought += [(name, seq) for each, seq in known if each in case.said.get("brings", [])]
    opening = case.timeline.opening(case.header.subject)
    assert opening is not None
    for recipient in case.said.get("to", []):
        reads = [
            grant
            for grant in after
            if grant.grantee == recipient and "read" in grant.actions and grant.is_active(case.now_ms)
        ]
        for name, seq in brought:
            fits = [grant for grant in reads if name in grant.compartments and (grant.history or grant.begins <= seq)]
            if not fits and recipient not in opening["custodians"]:
                yield "not_a_reader"
        if recipient not in case.people or case.timeline.is_suspended(recipient):
            yield "not_a_reader"


def _correction(case: Case) -> Iterator[str]:
    if case.header.replaces is None:
        if case.type == "care.retract":
            yield "unknown_replaced"
        return
    replaced = [line for line in case.lines if line.statement.digest == case.header.replaces]
    if not replaced or not replaced[0].type.startswith("care."):
        yield "unknown_replaced"
        return
    original = replaced[0].statement.header
    if original.compartment != case.header.compartment:
        yield "unknown_replaced"
    if original.issuer != case.header.issuer and not _are_colleagues(case, original.issuer):
        yield "not_author"


def _are_colleagues(case: Case, author: bytes) -> bool:
    assert case.signer is not None
    theirs = {author, case.people[author].organisation}
    mine = {case.signer.id, case.signer.organisation}
    return bool((theirs & mine) - {None})


_RULES = {
    "participant.admit": _admit,
    "participant.rotate": _rotate,
    "participant.suspend": _suspend,
    "subject.open": _open,
    "grant.give": _give,
    "grant.withdraw": _withdraw,
    "epoch.begin": _begin,
    "key.share": _share,
}
