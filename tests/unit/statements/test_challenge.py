from __future__ import annotations

from carenet.encoding import cbor
from carenet.statements.challenge import encode_challenge


def test_a_challenge_names_everything_that_must_not_be_exchanged() -> None:
    said = [b"n" * 32, "ws://127.0.0.1:1", b"s" * 32, b"c" * 32, b"p" * 32]
    assert encode_challenge(*said) == b"carenet/challenge/v1\0" + cbor.encode(said)
