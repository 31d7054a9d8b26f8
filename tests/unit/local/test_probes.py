from __future__ import annotations

from carenet.errors import TransportError
from carenet.local.probes import Standstill, answers


class _Worker:
    """A worker's figures and a clock, set by hand."""

    def __init__(self) -> None:
        self.position, self.end, self.now = 0, 0, 0.0
        self.reachable = True

    async def read(self) -> tuple[int, int]:
        if not self.reachable:
            raise TransportError("down")
        return self.position, self.end

    def probe(self) -> Standstill:
        return Standstill(self.read, 10, lambda: self.now)


async def test_an_idle_worker_is_well_for_ever() -> None:
    worker = _Worker()
    probe = worker.probe()
    for worker.now in (0, 100, 1000):
        assert await probe() is None


async def test_a_worker_that_stands_still_while_there_is_more_to_do_is_found() -> None:
    worker = _Worker()
    probe = worker.probe()
    assert await probe() is None
    worker.end, worker.now = 5, 100
    worker.position = 1
    assert await probe() is None
    worker.now = 109
    assert await probe() is None
    worker.now, worker.end = 110, 7
    assert await probe() == "stands still at 1 of 7 for 10 s"


async def test_waiting_for_work_does_not_count_as_standing_still() -> None:
    worker = _Worker()
    probe = worker.probe()
    worker.position = worker.end = 3
    assert await probe() is None
    worker.now = 100
    assert await probe() is None
    worker.end, worker.now = 4, 101
    assert await probe() is None


async def test_a_slow_worker_that_moves_is_well() -> None:
    worker = _Worker()
    probe = worker.probe()
    worker.end = 1000
    for step in range(5):
        worker.position, worker.now = step, step * 9
        assert await probe() is None


async def test_servers_that_do_not_answer_are_not_the_workers_fault() -> None:
    worker = _Worker()
    probe = worker.probe()
    worker.end = 5
    assert await probe() is None
    worker.reachable, worker.now = False, 50
    assert await probe() is None
    worker.reachable, worker.now = True, 51
    assert await probe() is None
    worker.now = 61
    assert await probe() is not None


async def test_a_question_answered_with_no_is_trouble() -> None:
    async def yes() -> bool:
        return True

    async def no() -> bool:
        return False

    assert await answers(yes)() is None
    assert await answers(no)() == "does not answer"
