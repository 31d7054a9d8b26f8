from __future__ import annotations

from typing import Any

import pytest

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError
from carenet.gateway.authority import Authority
from carenet.gateway.handshake import Challenge, check_hello, welcome
from carenet.gateway.messages import BadRequestError, GarbageError
from carenet.statements.challenge import encode_challenge
from tests.support.actors import Actor
from tests.support.gatewaylog import view_of
from tests.support.ward import Ward

CHALLENGE = Challenge(b"n" * 32, "ws://127.0.0.1:1", b"s" * 32)
CLIENT_NONCE = b"c" * 32


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def authority(ward: Ward) -> Authority:
    return view_of(ward.net)


def hello(who: Actor, **changes: Any) -> dict[str, Any]:
    signed = encode_challenge(CHALLENGE.network, CHALLENGE.origin, CHALLENGE.nonce, CLIENT_NONCE, who.id)
    said = {
        "type": "hello",
        "participant": encode_id(who.id),
        "kid": who.kid,
        "nonce": CLIENT_NONCE,
        "signature": who.key.sign(signed),
    }
    return said | changes


def refusal(authority: Authority, message: dict[str, Any]) -> str:
    with pytest.raises(RefusedError) as caught:
        check_hello(CHALLENGE, message, authority)
    return caught.value.reason


def test_the_right_answer_says_who_it_is(ward: Ward, authority: Authority) -> None:
    row = check_hello(CHALLENGE, hello(ward.world.clinician), authority)
    assert row.id == ward.world.clinician.id
    assert welcome(row, ward.world.genesis, 100)["roles"] == ["clinician"]


def test_a_stranger_is_unknown(ward: Ward, authority: Authority) -> None:
    assert refusal(authority, hello(ward.world.stranger)) == "unknown_signer"


def test_another_key_is_a_wrong_kid(ward: Ward, authority: Authority) -> None:
    wrong = hello(ward.world.clinician, kid=ward.world.nurse.kid)
    assert refusal(authority, wrong) == "wrong_kid"


def test_a_key_that_was_rotated_away_is_stale(ward: Ward) -> None:
    clinician = ward.world.clinician
    ward.accept(ward.world.rotate(clinician, clinician, clinician.with_key("second")))
    authority = view_of(ward.net)
    assert refusal(authority, hello(clinician)) == "stale_key"
    assert check_hello(CHALLENGE, hello(clinician.with_key("second")), authority).id == clinician.id


@pytest.mark.parametrize("whom", ["clinician", "hospital"])
def test_the_suspended_and_their_members_are_refused(ward: Ward, whom: str) -> None:
    ward.accept(ward.world.suspend(ward.world.authority, getattr(ward.world, whom)))
    assert refusal(view_of(ward.net), hello(ward.world.clinician)) == "suspended"


@pytest.mark.parametrize("field", ["network", "origin", "nonce"])
def test_the_signature_covers_the_whole_challenge(ward: Ward, authority: Authority, field: str) -> None:
    other = {"network": b"m" * 32, "origin": "ws://127.0.0.1:2", "nonce": b"t" * 32}[field]
    said = {"network": CHALLENGE.network, "origin": CHALLENGE.origin, "nonce": CHALLENGE.nonce, field: other}
    clinician = ward.world.clinician
    signed = encode_challenge(*said.values(), CLIENT_NONCE, clinician.id)  # type: ignore[arg-type]
    wrong = hello(clinician, signature=clinician.key.sign(signed))
    assert refusal(authority, wrong) == "bad_signature"


def test_the_signature_covers_the_clients_nonce(ward: Ward, authority: Authority) -> None:
    wrong = hello(ward.world.clinician, nonce=b"d" * 32)
    assert refusal(authority, wrong) == "bad_signature"


@pytest.mark.parametrize("field", ["participant", "kid", "nonce", "signature"])
def test_a_hello_has_all_its_fields(ward: Ward, authority: Authority, field: str) -> None:
    message = hello(ward.world.clinician)
    del message[field]
    with pytest.raises(BadRequestError):
        check_hello(CHALLENGE, message, authority)


def test_another_message_than_hello_is_garbage(authority: Authority) -> None:
    with pytest.raises(GarbageError):
        check_hello(CHALLENGE, {"type": "publish"}, authority)
