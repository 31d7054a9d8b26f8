from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.client.handshake import answer_challenge, check_welcome, origin_of
from carenet.client.wire import Message, to_text
from carenet.encoding.ed25519 import is_valid_signature
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, EncodingError
from carenet.sealing.identity import create_identity
from carenet.statements.challenge import encode_challenge
from tests.support.world import World

WORLD = World()
ALICE = create_identity("alice", WORLD.network, 1)
URL = "ws://127.0.0.1:7070"
NONCE = b"\1" * 32


def challenge(**changes: object) -> Message:
    message = {"type": "challenge", "network": encode_id(WORLD.network), "origin": URL, "nonce": to_text(bytes(32))}
    return message | changes


def welcome(**changes: object) -> Message:
    message = {"type": "welcome", "name": "alice", "roles": ["lab"], "max_frame": 2_000_000}
    return message | {"genesis": to_text(WORLD.genesis.encode())} | changes


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("ws://Gateway.Example", "ws://gateway.example:80"),
        ("wss://gateway.example/path?x=1", "wss://gateway.example:443"),
        ("ws://127.0.0.1:7070/", "ws://127.0.0.1:7070"),
        ("ws://[::1]:9", "ws://[::1]:9"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str):
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["", "http://host:1", "ws://", "ws://host:99999", "host:80"])
def test_what_is_no_gateways_address_is_refused(url: str):
    with pytest.raises(BadInputError):
        origin_of(url)


def test_the_answer_signs_network_origin_both_nonces_and_participant():
    hello = answer_challenge(challenge(), URL, ALICE, NONCE)
    signed = encode_challenge(WORLD.network, URL, bytes(32), NONCE, ALICE.id)
    assert is_valid_signature(ALICE.sign_key.public, hello["signature"], signed)
    assert (hello["participant"], hello["kid"], hello["nonce"]) == (
        encode_id(ALICE.id),
        ALICE.kid,
        NONCE,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"network": encode_id(bytes(32))},
        {"origin": "ws://127.0.0.1:7071"},
        {"origin": "wss://127.0.0.1:7070"},
        {"origin": "nonsense"},
        {"nonce": to_text(bytes(31))},
        {"nonce": None},
        {"type": "welcome"},
    ],
    ids=["network", "port", "scheme", "nonsense", "short-nonce", "no-nonce", "other-message"],
)
def test_another_challenge_is_not_answered(changes: dict[str, object]):
    with pytest.raises(BadInputError):
        answer_challenge(challenge(**changes), URL, ALICE, NONCE)


def test_a_welcome_tells_who_we_are_and_shows_the_genesis():
    told = check_welcome(welcome(), ALICE)
    assert (told.genesis, told.name, told.roles, told.max_frame) == (WORLD.genesis, "alice", ("lab",), 2_000_000)


def test_another_networks_genesis_is_refused():
    other = replace(WORLD.genesis, salt=b"\1" * 16)
    with pytest.raises(BadInputError, match="does not hash"):
        check_welcome(welcome(genesis=to_text(other.encode())), ALICE)


@pytest.mark.parametrize("changes", [{"type": "error"}, {"roles": "lab"}, {"max_frame": None}])
def test_a_malformed_welcome_is_refused(changes: dict[str, object]):
    with pytest.raises(EncodingError):
        check_welcome(welcome(**changes), ALICE)
