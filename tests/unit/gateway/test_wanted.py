from __future__ import annotations

from carenet.gateway.wanted import Wanted

ANNA, BERT = b"a" * 32, b"b" * 32


def test_what_several_want_is_wanted_until_the_last_has_left() -> None:
    wanted = Wanted()
    wanted.add(b"one", frozenset({ANNA, BERT}))
    wanted.add(b"two", frozenset({ANNA}))
    wanted.drop(b"one", frozenset({ANNA, BERT}))
    assert wanted.named.keys() == {ANNA}
    wanted.drop(b"two", frozenset({ANNA}))
    assert not wanted.named


def test_who_wants_everything_does_so_until_its_last_session_has_left() -> None:
    wanted = Wanted()
    wanted.add(b"one", None)
    wanted.add(b"one", None)
    wanted.drop(b"one", None)
    assert wanted.everything.keys() == {b"one"}
    wanted.drop(b"one", None)
    assert (wanted.everything, wanted.named) == ({}, {})
