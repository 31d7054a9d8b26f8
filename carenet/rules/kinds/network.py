"""The network's own subject: who takes part.

Rules, in order:
1. The authority admits anyone; an organisation admits members of its own, with roles that its own admission lists.
2. An id is admitted once, and only with a signature of the admitted key over these very terms.
3. A participant rotates its own keys; its organisation and the authority may do it for it (a lost key).
4. The authority suspends anyone but authorities and nodes; an organisation its members. Members fall with theirs.
Only partition 0 makes these checks; the other partitions `apply` what it accepted.
"""

from __future__ import annotations

from collections.abc import Iterable

from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import is_admissible_key, is_valid_signature
from carenet.rules.case import Case, is_suspended, participants_with_organisations, payload_if_valid
from carenet.rules.changes import admitted, rotated, suspended
from carenet.rules.reasons import Reason
from carenet.rules.roles import AUTHORITY, NODE
from carenet.rules.rows import Key, ParticipantKey, ParticipantRow, ReactionKey
from carenet.rules.view import View
from carenet.statements.payloads import Admit, Rotate, Suspend
from carenet.statements.statement import Statement

_TYPES = {"participant.admit", "participant.rotate", "participant.suspend"}


class NetworkRulebook:
    """See the module header."""

    kind = "network"

    def knows(self, event_type: str) -> bool:
        """Whether the type is one of participants."""
        return event_type in _TYPES

    def needs(self, statement: Statement, view: View) -> Iterable[Key]:
        """The participants that the payload names, and the organisation that one of them falls with."""
        payload = payload_if_valid(statement)
        named: list[bytes] = []
        if isinstance(payload, Admit):
            named = [compute_thumbprint(payload.sign)]
            named += [payload.organisation] if payload.organisation else []
        elif isinstance(payload, Rotate | Suspend):
            named = [payload.participant]
        return participants_with_organisations(named, view)

    def check_permission(self, case: Case) -> None:
        """Rules 1, 3 and 4: who speaks about whom."""
        assert case.signer is not None
        payload = case.payload
        if AUTHORITY in case.signer.roles:
            return
        if isinstance(payload, Admit):
            case.require(payload.organisation == case.signer.id, Reason.NOT_DECIDER, "an organisation admits its own")
            given = set(payload.roles) <= set(case.signer.may_give) and not payload.may_give
            case.require(given, Reason.ROLE_NOT_GIVEN, "an organisation gives only roles that its admission lists")
            return
        assert isinstance(payload, Rotate | Suspend)
        target = case.view.participant(payload.participant)
        is_self = isinstance(payload, Rotate) and payload.participant == case.signer.id
        is_member = target is not None and target.organisation == case.signer.id
        case.require(target is None or is_self or is_member, Reason.NOT_DECIDER, "neither its own keys nor a member")

    def check_compartment(self, case: Case) -> None:
        """Network statements have no compartment."""
        case.require(case.statement.header.compartment is None, Reason.UNKNOWN_COMPARTMENT, "a network has none")

    def reactions(self, case: Case) -> tuple[ReactionKey, ...]:  # noqa: ARG002 - the protocol's shape
        """No network statement is a reaction."""
        return ()

    def check_epoch(self, case: Case) -> None:
        """Network statements seal nothing."""

    def check_transition(self, case: Case) -> None:
        """Rules 2 to 4."""
        if isinstance(case.payload, Admit):
            _check_admission(case, case.payload)
        elif isinstance(case.payload, Rotate):
            _check_rotation(case, case.payload)
        elif isinstance(case.payload, Suspend):
            target = _target(case, case.payload.participant)
            fixed = AUTHORITY in target.roles or NODE in target.roles
            case.require(not fixed, Reason.ROLE_FORBIDS, "an authority or node is not suspended this way")
            case.require(not target.suspended, Reason.ALREADY_ENDED, "it is suspended already")

    def lasting_until_ms(self, case: Case) -> int | None:  # noqa: ARG002 - as every rulebook's
        """At once: no care data is about the network."""
        return 0

    def apply(self, case: Case) -> bool:
        """Write the participant's row."""
        digest = case.statement.digest
        if isinstance(case.payload, Admit):
            row = admitted(case.payload, digest)
        else:
            assert isinstance(case.payload, Rotate | Suspend)
            row = _target(case, case.payload.participant)
            row = rotated(row, case.payload, digest) if isinstance(case.payload, Rotate) else suspended(row)
        case.write(ParticipantKey(row.id), row)
        return True


def _check_admission(case: Case, payload: Admit) -> None:
    assert case.signer is not None
    case.require(is_admissible_key(payload.sign), Reason.BAD_PUBLIC_KEY, "payload.sign is not a prime-order point")
    known = case.view.participant(compute_thumbprint(payload.sign))
    case.require(known is None, Reason.KNOWN_PARTICIPANT, "this key was admitted before")
    reserved = {AUTHORITY, NODE}.intersection(payload.roles + payload.may_give)
    case.require(not reserved, Reason.ROLE_NOT_GIVEN, "authorities and nodes are not admitted this way")
    if payload.organisation is not None:
        organisation = case.view.participant(payload.organisation)
        # One level only, so that "members fall with their organisation" needs one look.
        is_organisation = organisation is not None and organisation.organisation is None
        case.require(is_organisation, Reason.UNKNOWN_PARTICIPANT, "payload.organisation is not an organisation")
        assert organisation is not None
        case.require(not organisation.suspended, Reason.SUSPENDED, "payload.organisation is suspended")
        case.require(not payload.may_give, Reason.ROLE_NOT_GIVEN, "a member gives no roles")
    binding = payload.binding(case.scope.network, case.signer.id)
    case.require(is_valid_signature(payload.sign, payload.proof, binding), Reason.BAD_PROOF, "payload.proof")


def _check_rotation(case: Case, payload: Rotate) -> None:
    assert case.signer is not None
    target = _target(case, payload.participant)
    case.require(NODE not in target.roles, Reason.ROLE_FORBIDS, "a node's keys are not rotated this way")
    case.require(not is_suspended(target, case.view), Reason.SUSPENDED, "payload.participant is suspended")
    case.require(is_admissible_key(payload.sign), Reason.BAD_PUBLIC_KEY, "payload.sign is not a prime-order point")
    kid = compute_thumbprint(payload.sign)
    used = kid in target.retired or payload.sign == target.sign
    case.require(not used, Reason.STALE_KEY, "payload.sign was this participant's before")
    binding = payload.binding(case.scope.network, case.signer.id)
    case.require(is_valid_signature(payload.sign, payload.proof, binding), Reason.BAD_PROOF, "payload.proof")


def _target(case: Case, participant: bytes) -> ParticipantRow:
    target = case.view.participant(participant)
    case.require(target is not None, Reason.UNKNOWN_PARTICIPANT, "payload.participant is not a participant")
    assert target is not None
    return target
