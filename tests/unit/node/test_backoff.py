from __future__ import annotations

from carenet.node.backoff import Backoff


def test_waits_grow_to_a_limit_and_are_short_again_after_a_success() -> None:
    backoff = Backoff(0.1, 3.0)
    waits = [backoff.next_s() for _ in range(30)]
    assert all(0.05 <= wait <= 3.0 for wait in waits)
    assert waits[0] <= 0.1
    assert min(waits[6:]) >= 1.5
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_two_do_not_wait_in_step() -> None:
    assert len({Backoff().next_s() for _ in range(20)}) > 10
