from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from carenet.bench.counting import Counter, Tally


class Wire:
    """What a counter writes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def feed(counter: Counter, data: bytes) -> None:
    """As a transport does: into the counter's own buffer."""
    counter.get_buffer(-1)[: len(data)] = data
    counter.buffer_updated(len(data))


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    return Tally.create(tmp_path / "tally")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.sampled_from([0, 1, 125, 126, 200, 65_535, 65_536]), max_size=3), data=st.data())
def test_frames_count_once_however_they_are_cut(tally: Tally, sizes: list[int], data: st.DataObject) -> None:
    stream = b"".join(Frame(Opcode.BINARY, bytes(size)).serialize(mask=False) for size in sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    counter, before = Counter(tally, Counter.make_buffer()), (tally.frames, tally.payload_bytes)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        feed(counter, stream[start:end])
    whole = [size for size in sizes if size]
    assert (tally.frames - before[0], tally.payload_bytes - before[1]) == (len(whole), sum(whole))


def test_a_ping_is_answered_and_not_counted(tally: Tally) -> None:
    counter, wire = Counter(tally, Counter.make_buffer()), Wire()
    counter.connection_made(cast("object", wire))  # type: ignore[arg-type]
    ping = Frame(Opcode.PING, b"abcd").serialize(mask=False)
    feed(counter, ping[:4])
    feed(counter, ping[4:] + Frame(Opcode.BINARY, b"x").serialize(mask=False))
    assert wire.written == [b"\x8a\x84" + bytes(4) + b"abcd"]
    assert (tally.frames, tally.payload_bytes) == (1, 1)


def test_what_one_process_counts_another_one_reads(tally: Tally, tmp_path: Path) -> None:
    other = Tally(tmp_path / "tally")
    other.count(3, 1000)
    other.lose()
    assert (tally.frames, tally.payload_bytes, tally.lost) == (3, 1000, 1)
