"""Where subjects go on after a cursor: searching finds what reading the log finds."""

from __future__ import annotations

import random

import pytest

from carenet.gateway import resuming
from carenet.gateway.resuming import find_first_seqs
from tests.support.gatewayclient import House


async def test_searching_finds_what_reading_the_log_finds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = random.Random(7)
    for _ in range(6):
        await house.accept(*(house.care(chooser.choice(house.both)) for _ in range(chooser.randrange(1, 6))))
    size = (await house.store.heads())[0].size
    entries = await house.store.read_entries(0, 0, size)
    next_seqs = {each.id: sum(entry.subject == each.id for entry in entries) for each in house.both}
    monkeypatch.setattr(resuming, "_PAGE", 3)
    spans = [(0, size), (size - 1, size), *(sorted(chooser.sample(range(size + 1), 2)) for _ in range(40))]
    for begin, end in spans:
        monkeypatch.setattr(resuming, "_SCANNED", size)
        read = await find_first_seqs(house.store, 0, (begin, end), next_seqs)
        monkeypatch.setattr(resuming, "_SCANNED", -1)
        monkeypatch.setattr(resuming, "_SCANNED_A_LOOKUP", 0)
        searched = await find_first_seqs(house.store, 0, (begin, end), {**next_seqs, b"u" * 32: 9})
        assert searched == {each: seq for each, seq in read.items() if each in next_seqs}
        plain: dict[bytes, int] = {}
        for entry in entries[begin:end]:
            plain.setdefault(entry.subject, entry.seq)
        assert read == plain
