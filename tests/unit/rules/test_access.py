from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.encoding.ids import sha256
from carenet.rules.access import active, may_read, who_may_read
from carenet.rules.rows import GrantRow, SubjectRow

CUSTODIAN, READER, OTHER = sha256(b"custodian"), sha256(b"reader"), sha256(b"other")
SUBJECT = SubjectRow(bytes(32), "patient", 20, bytes(32), custodians=(CUSTODIAN,))
GRANT = GrantRow(
    id=sha256(b"grant"),
    grantee=READER,
    actions=("read",),
    compartments=("clinical",),
    history=False,
    from_seq=10,
    until_ms=1000,
    purpose="treat",
)


@pytest.mark.parametrize(
    ("grant", "entry", "now_ms", "allowed"),
    [
        (GRANT, (10, "clinical"), 999, True),
        (GRANT, (19, "clinical"), 0, True),
        (GRANT, (9, "clinical"), 0, False),  # it began before the grant
        (replace(GRANT, history=True), (9, "clinical"), 0, True),
        (replace(GRANT, history=True), (0, "clinical"), 0, True),
        (GRANT, (10, "medication"), 0, False),
        (GRANT, (10, None), 0, True),  # without a compartment: every active reader
        (GRANT, (9, None), 0, False),
        (GRANT, (10, "clinical"), 1000, False),  # it ends at until, not after
        (replace(GRANT, until_ms=None), (10, "clinical"), 2**52, True),
        (replace(GRANT, to_seq=15), (10, "clinical"), 0, False),  # after a withdrawal: nothing, backlog included
        (replace(GRANT, actions=("write", "manage")), (10, "clinical"), 0, False),
        (replace(GRANT, grantee=OTHER), (10, "clinical"), 0, False),
    ],
)
def test_a_reader_gets_an_entry_by_an_active_grant_that_covers_it(
    grant: GrantRow, entry: tuple[int, str | None], now_ms: int, allowed: bool
) -> None:
    assert may_read(READER, SUBJECT, [grant], entry, now_ms) == allowed
    assert (READER in who_may_read(SUBJECT, [grant], entry, now_ms)) == allowed


def test_custodians_read_everything_and_strangers_nothing() -> None:
    for entry in ((0, None), (0, "clinical"), (19, "identity")):
        assert may_read(CUSTODIAN, SUBJECT, [], entry, 0)
        assert not may_read(OTHER, SUBJECT, [GRANT], entry, 0)


def test_one_of_several_grants_is_enough_but_they_do_not_add_up() -> None:
    old = replace(GRANT, id=sha256(b"old"), compartments=("medication",), history=True)
    assert may_read(READER, SUBJECT, [GRANT, old], (0, "medication"), 0)
    assert not may_read(READER, SUBJECT, [GRANT, old], (0, "clinical"), 0)


def test_active_grants_have_neither_been_ended_nor_expired() -> None:
    grants = [GRANT, replace(GRANT, to_seq=12), replace(GRANT, until_ms=500), replace(GRANT, until_ms=None)]
    assert active(grants, 500) == [GRANT, grants[3]]


def test_all_who_may_read_are_custodians_and_the_grantees_of_grants_that_show_the_entry() -> None:
    both = [GRANT, replace(GRANT, grantee=OTHER, compartments=("medication",))]
    assert who_may_read(SUBJECT, both, (12, "clinical"), 0) == {CUSTODIAN, READER}
    assert who_may_read(SUBJECT, both, (12, None), 0) == {CUSTODIAN, READER, OTHER}
    assert who_may_read(SUBJECT, both, (12, "clinical"), 1000) == {CUSTODIAN}
