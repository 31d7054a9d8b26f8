from __future__ import annotations

import pytest

from carenet.rules.roles import _table, is_allowed, may_sign, roles_of
from carenet.rules.rows import ParticipantRow
from carenet.statements.payloads import PAYLOADS


def participant(*roles: str, may_give: tuple[str, ...] = ()) -> ParticipantRow:
    return ParticipantRow(bytes(32), "name", None, roles, may_give, bytes(32), None)


@pytest.mark.parametrize(
    ("roles", "may_give", "event_type", "allowed"),
    [
        (("authority",), (), "participant.admit", True),
        (("node",), (), "participant.admit", False),
        (("custodian",), ("clinician",), "participant.suspend", True),  # an organisation
        (("custodian",), (), "participant.suspend", False),
        (("registrar",), (), "subject.open", True),
        (("clinician",), (), "subject.open", False),
        (("clinician",), (), "care.condition", True),
        (("lab",), (), "care.observation", True),
        (("lab",), (), "care.condition", False),
        (("lab",), (), "care.observation.more", False),
        (("pharmacy",), (), "care.medicationdispense", True),
        (("pharmacy",), (), "care.observation", False),
        (("lab", "pharmacy"), (), "care.medicationdispense", True),
        (("monitor",), (), "grant.give", True),  # everyone may, where the patient's own grants allow it
        (("monitor",), (), "participant.rotate", True),
        (("monitor",), (), "care.observation", False),
        (("clinician",), (), "careless", False),
        (("clinician",), (), "care", False),
    ],
)
def test_a_role_allows_a_type(
    roles: tuple[str, ...], may_give: tuple[str, ...], event_type: str, allowed: bool
) -> None:
    assert may_sign(participant(*roles, may_give=may_give), event_type) == allowed


def test_nobody_holds_an_implied_role_by_its_name() -> None:
    assert roles_of(participant("lab")) == ("lab", "@everyone")
    assert not is_allowed("no-such-role", "care.observation")


def test_every_control_type_is_some_roles() -> None:
    patterns = [pattern for allowed in _table().values() for pattern in allowed]
    for event_type in PAYLOADS:
        assert any(is_allowed(role, event_type) for role in _table()), event_type
    assert all(pattern.endswith(".*") or "*" not in pattern for pattern in patterns)
