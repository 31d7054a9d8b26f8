from __future__ import annotations

import asyncio

from carenet.gateway.outbox import Outbox


def test_frames_come_out_in_the_order_in_which_they_went_in() -> None:
    outbox = Outbox(100, 10)
    assert not outbox
    assert all(outbox.put(frame) for frame in (b"a", b"b", b"c"))
    assert [outbox.take() for _ in range(len(outbox))] == [b"a", b"b", b"c"]
    assert not outbox


def test_it_takes_no_more_than_its_bytes_and_frames() -> None:
    outbox = Outbox(10, 3)
    assert outbox.put(b"x" * 10)
    assert not outbox.put(b"x")
    by_count = Outbox(1000, 3)
    assert [by_count.put(b"x") for _ in range(4)] == [True, True, True, False]


def test_one_frame_larger_than_the_whole_still_passes() -> None:
    outbox = Outbox(10, 3)
    assert outbox.put(b"x" * 11)
    assert not outbox.put(b"x")


async def test_there_is_room_up_to_half() -> None:
    outbox = Outbox(10, 100)
    outbox.put(b"x" * 5)
    assert outbox.has_room
    outbox.put(b"x")
    assert not outbox.has_room
    waiting = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take()
    await waiting
    assert repr(outbox) == "<Outbox with 1 frames, 1 bytes>"
