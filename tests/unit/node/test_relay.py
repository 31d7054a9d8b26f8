from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carenet.node.relay import RESEND_S, Schedule


def test_nothing_is_due_where_every_partition_has_all() -> None:
    assert Schedule().due({0: 3, 1: 3, 2: 3}, 0) == {}


def test_a_partition_is_due_from_what_it_lacks_first() -> None:
    assert Schedule().due({0: 3, 1: 1, 2: 3}, 0) == {1: 1}


def test_partition_0_is_never_relayed_to() -> None:
    assert Schedule().due({0: 1}, 0) == {}


def test_what_is_under_way_is_not_sent_again_within_a_second() -> None:
    schedule = Schedule()
    schedule.due({0: 2, 1: 0}, 0)
    schedule.sent(1, 2, 0)
    assert schedule.due({0: 2, 1: 0}, RESEND_S - 0.01) == {}
    assert schedule.due({0: 2, 1: 0}, RESEND_S) == {1: 0}


def test_progress_gives_what_is_under_way_another_second() -> None:
    schedule = Schedule()
    schedule.due({0: 2, 1: 0}, 0)
    schedule.sent(1, 2, 0)
    assert schedule.due({0: 2, 1: 1}, RESEND_S - 0.01) == {}
    assert schedule.due({0: 2, 1: 1}, RESEND_S + 0.5) == {}
    assert schedule.due({0: 2, 1: 1}, 2 * RESEND_S) == {1: 1}


def test_what_is_new_is_due_at_once_and_alone() -> None:
    schedule = Schedule()
    schedule.due({0: 2, 1: 0}, 0)
    schedule.sent(1, 2, 0)
    assert schedule.due({0: 3, 1: 0}, 0.1) == {1: 2}


def test_what_another_node_relayed_is_not_sent() -> None:
    schedule = Schedule()
    assert schedule.due({0: 5, 1: 0}, 0) == {1: 0}
    assert schedule.due({0: 5, 1: 4}, 0.1) == {1: 4}


@given(
    st.lists(
        st.tuples(st.sampled_from(["decide", "apply", "lose"]), st.floats(0, 0.7)),
        max_size=60,
    )
)
def test_whatever_is_lost_every_statement_arrives_in_the_end_and_never_twice_in_a_second(
    steps: list[tuple[str, float]],
) -> None:
    schedule, now_s, decided, applied = Schedule(), 0.0, 0, 0
    sent_at: dict[int, float] = {}
    under_way: list[int] = []

    def look() -> None:
        for from_seq in schedule.due({0: decided, 1: applied}, now_s).values():
            for seq in range(from_seq, decided):
                assert now_s - sent_at.get(seq, -RESEND_S) >= RESEND_S
                sent_at[seq] = now_s
                under_way.append(seq)
                schedule.sent(1, seq + 1, now_s)

    for step, pause_s in [*steps, *[("apply", RESEND_S)] * 3]:
        now_s += pause_s
        decided += step == "decide"
        if step == "apply":
            for seq in under_way:
                applied += seq == applied  # the fold refuses gaps and repeats
        if step != "decide":
            under_way.clear()
        look()
    for _ in range(2):
        now_s += RESEND_S
        look()
        for seq in under_way:
            applied += seq == applied
        under_way.clear()
    assert applied == decided
