"""The walk along a chain, step by step; tests/properties/test_gateway_delivery.py plays whole stories."""

from __future__ import annotations

from carenet.encoding.ids import sha256
from carenet.gateway.backlog import Pass, Standing, catching_up, first_pass, pass_for_history, walk
from carenet.rules.rows import GrantRow, SubjectRow
from carenet.store.stored import StoredEntry

READER, CUSTODIAN = b"r" * 32, b"c" * 32
SUBJECT = SubjectRow(b"s" * 32, "patient", 0, b"", (CUSTODIAN,))


def grant(
    from_seq: int, *, history: bool, compartments: tuple[str, ...] = ("clinical",), until: int | None = None
) -> GrantRow:
    return GrantRow(sha256(bytes([from_seq])), READER, ("read",), compartments, history, from_seq, until, "treat")


def chain(*compartments: str | None) -> list[StoredEntry]:
    return [
        StoredEntry(0, seq, SUBJECT.subject, seq, b"", b"", b"", None, b"", "care.x", compartment, seq, 0)
        for seq, compartment in enumerate(compartments)
    ]


def standing(*grants: GrantRow, next_seq: int = 6, now_ms: int = 0, reader: bytes = READER) -> Standing:
    return Standing(reader, SUBJECT, grants, next_seq, now_ms)


def seqs(entries: list[StoredEntry]) -> list[int]:
    return [entry.seq for entry in entries]


CHAIN = chain(None, "clinical", "medication", "clinical", None, "clinical")


def test_a_first_walk_counts_all_that_was_granted_and_keeps_the_chains_order() -> None:
    reader = standing(grant(2, history=False), grant(4, history=True))
    walked = walk(first_pass(reader), CHAIN, reader)
    assert seqs(walked.owed) == [0, 1, 3, 4, 5]
    assert walked.at == Pass(6, 6)
    assert not walked.is_anew


def test_a_grant_without_history_owes_nothing_from_before_it() -> None:
    reader = standing(grant(3, history=False))
    assert seqs(walk(first_pass(reader), CHAIN, reader).owed) == [3, 4, 5]


def test_a_later_grant_with_history_begins_the_walk_anew_and_skips_what_was_shown() -> None:
    reader = standing(grant(1, history=False), grant(4, history=True, compartments=("clinical", "medication")))
    walked = walk(Pass(1, 1), CHAIN[1:], reader)
    assert (seqs(walked.owed), walked.is_anew) == ([1, 3], True)
    assert walked.at == Pass(0, 6, 4, 0)
    assert seqs(walk(walked.at, CHAIN, reader).owed) == [0, 2, 4, 5]


def test_what_a_grant_showed_that_has_run_out_since_is_skipped_as_of_then() -> None:
    reader = standing(grant(0, history=True, until=50), grant(4, history=True), now_ms=100)
    assert seqs(walk(Pass(0, 6, 4, 40), CHAIN, reader).owed) == [4, 5]
    assert seqs(walk(Pass(0, 6, 4, 50), CHAIN, reader).owed) == [0, 1, 3, 4, 5]


def test_a_grant_that_has_run_out_begins_no_walk() -> None:
    reader = standing(grant(4, history=True, until=50), now_ms=50)
    assert walk(Pass(0, 0), CHAIN, reader).at == Pass(6, 0)
    assert catching_up(reader, 2) == Pass(2, 6)


def test_catching_up_begins_after_the_cursor_or_anew_for_history_granted_since() -> None:
    assert catching_up(standing(grant(1, history=True)), 2) == Pass(2, 6)
    reader = standing(grant(1, history=True), grant(3, history=True), now_ms=9)
    assert catching_up(reader, 2) == Pass(0, 6, 2, 9)


def test_catching_up_sends_again_what_a_grant_that_has_run_out_may_have_shown() -> None:
    # By the log's time it was active at the cursor, by the gateway's clock it was over before the push.
    reader = standing(grant(1, history=False, until=50), grant(3, history=True), now_ms=100)
    assert seqs(walk(catching_up(reader, 2), CHAIN, reader).owed) == [0, 1, 3, 4, 5]


def test_a_live_grant_with_history_skips_what_was_level_before_it() -> None:
    assert pass_for_history(standing(now_ms=7), 5) == Pass(0, 6, 5, 7)


def test_a_custodian_walks_once_whatever_it_is_granted() -> None:
    given = GrantRow(b"g" * 32, CUSTODIAN, ("read",), ("clinical",), True, 4, None, "treat")
    reader = standing(given, reader=CUSTODIAN)
    walked = walk(Pass(0, 0), CHAIN, reader)
    assert (seqs(walked.owed), walked.is_anew) == ([0, 1, 2, 3, 4, 5], False)


def test_a_grant_that_does_not_read_owes_nothing() -> None:
    writes = GrantRow(b"g" * 32, READER, ("write",), ("clinical",), True, 4, None, "treat")
    assert walk(first_pass(standing(writes)), CHAIN, standing(writes)).owed == []
