from __future__ import annotations

from carenet.demo.expected import Logged, find_expected
from carenet.rules.rows import GrantRow, SubjectRow

READER, OTHER, HOSPITAL = b"r" * 32, b"o" * 32, b"h" * 32
PATIENT, NETWORK = b"p" * 32, b"n" * 32
SUBJECTS = {
    PATIENT: SubjectRow(PATIENT, "patient", 9, bytes(32), custodians=(HOSPITAL,)),
    NETWORK: SubjectRow(NETWORK, "network", 9, bytes(32)),
}


def _grant(from_seq: int = 1, *, history: bool = True, to_seq: int | None = None, grantee: bytes = READER) -> GrantRow:
    return GrantRow(b"g" * 32, grantee, ("read",), ("clinical",), history, from_seq, None, "TREAT", to_seq)


def _log(length: int, subject: bytes = PATIENT, compartment: str | None = "clinical") -> list[Logged]:
    """A partition that holds one chain, so that index and seq agree."""
    return [Logged(2, index, subject, index, compartment) for index in range(length)]


def _places(grants: list[GrantRow], log: list[Logged], reader: bytes = READER) -> list[int]:
    return sorted(index for _, index in find_expected(reader, log, SUBJECTS, {PATIENT: grants}, 0))


def test_a_grant_with_history_entitles_to_what_was_logged_before_it() -> None:
    assert _places([_grant(3)], _log(5)) == [0, 1, 2, 3, 4]


def test_a_grant_without_history_entitles_from_its_own_entry_on() -> None:
    assert _places([_grant(3, history=False)], _log(5)) == [3, 4]


def test_what_was_readable_before_a_withdrawal_stays_expected_and_the_withdrawal_is_not() -> None:
    assert _places([_grant(1, to_seq=3)], _log(5)) == [0, 1, 2]


def test_a_grant_given_again_with_history_makes_up_for_the_gap() -> None:
    assert _places([_grant(1, to_seq=2), _grant(4)], _log(6)) == [0, 1, 2, 3, 4, 5]


def test_another_compartment_is_not_expected_and_an_entry_without_one_is() -> None:
    assert _places([_grant()], _log(2, compartment="medication")) == []
    assert _places([_grant()], _log(2, compartment=None)) == [0, 1]


def test_another_ones_grant_entitles_nobody_else() -> None:
    assert _places([_grant(grantee=OTHER)], _log(3)) == []


def test_a_custodian_is_entitled_to_everything_of_its_patient() -> None:
    assert _places([], _log(3), reader=HOSPITAL) == [0, 1, 2]


def test_the_networks_own_timeline_and_unknown_subjects_are_nobodys() -> None:
    assert _places([_grant()], _log(3, NETWORK, None) + _log(3, b"x" * 32, None)) == []
