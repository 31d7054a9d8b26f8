from __future__ import annotations

from carenet.gateway.likely import Likely


def test_what_was_learnt_alone_is_forgotten() -> None:
    likely = Likely()
    likely.learn(b"\x00\x09" + bytes(30))
    likely.learn(b"\x00\x0f" + bytes(30))
    assert likely.bits()[:2] == b"\x00\x82"
    likely.forget(b"\x00\x09" + b"x" * 30)
    assert likely.bits()[:2] == b"\x00\x80"
    likely.forget(b"\xff\xff" + bytes(30))
    assert (len(likely.bits()), repr(likely)) == (8192, "<Likely: 1 bits>")
