from __future__ import annotations

import asyncio

from carenet.gateway.outbox import Outbox, Turn


def test_frames_come_out_in_the_order_in_which_they_went_in() -> None:
    outbox = Outbox(100, 10)
    assert outbox.is_empty
    assert all(outbox.put(frame) for frame in (b"a", b"b", b"c"))
    assert outbox.take(100) == [b"a", b"b", b"c"]
    assert outbox.is_empty


def test_no_more_is_taken_at_once_than_was_asked_for_but_one_frame_always_is() -> None:
    outbox = Outbox(100, 10)
    for frame in (b"aaaa", b"bb", b"cc", b"dddd"):
        outbox.put(frame)
    assert [outbox.take(2) for _ in range(4)] == [[b"aaaa"], [b"bb"], [b"cc"], [b"dddd"]]
    assert outbox.is_empty
    for frame in (b"aaaa", b"bb", b"cc", b"dddd"):
        outbox.put(frame)
    assert outbox.take(6) == [b"aaaa", b"bb"]
    assert outbox.take(6) == [b"cc", b"dddd"]


def test_it_takes_no_more_than_its_bytes_and_frames() -> None:
    outbox = Outbox(10, 3)
    assert outbox.put(b"x" * 10)
    assert not outbox.put(b"x")
    by_count = Outbox(1000, 3)
    assert [by_count.put(b"x") for _ in range(4)] == [True, True, True, False]
    by_count.take(1)
    assert [by_count.put(b"x") for _ in range(2)] == [True, False]


def test_one_frame_larger_than_the_whole_still_passes() -> None:
    outbox = Outbox(10, 3)
    assert outbox.put(b"x" * 11)
    assert not outbox.put(b"x")


async def test_there_is_room_up_to_half() -> None:
    outbox = Outbox(10, 100)
    outbox.put(b"x" * 5)
    assert outbox.has_room
    await outbox.room()
    outbox.put(b"x")
    outbox.put(b"y")
    assert not outbox.has_room
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take(1)
    await waiting
    assert repr(outbox) == "<Outbox with 2 frames, 2 bytes>"


async def test_whoever_waited_for_room_and_gave_up_is_in_nobodys_way() -> None:
    outbox = Outbox(10, 100)
    outbox.put(b"x" * 6)
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    outbox.take(10)
    await outbox.room()


class Once:
    """A writer that counts."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


async def test_all_who_have_something_to_write_do_so_when_the_loop_comes_round() -> None:
    turn, first, second = Turn(), Once(), Once()
    turn.add(first)
    turn.add(second)
    assert (first.flushed, second.flushed) == (0, 0)
    await asyncio.sleep(0)
    assert (first.flushed, second.flushed) == (1, 1)
    turn.add(first)
    await asyncio.sleep(0)
    assert (first.flushed, second.flushed) == (2, 1)
