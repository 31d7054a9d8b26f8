from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, EncodingError, StatementError
from carenet.statements.statement import Statement, compute_tag, parse_statement
from tests.support.actors import actor, header_of, sign, sign_anything

LAB = actor("lab")
CONTROL = sign(LAB, header_of(LAB), {"part": 1, "body": sha256(b"wraps")})
CARE = sign(
    LAB,
    header_of(
        LAB,
        type="care.observation",
        content_type="application/fhir+json",
        compartment="clinical",
        epoch=bytes(16),
        tag=bytes(16),
        replaces=bytes(32),
        trigger=bytes(32),
    ),
    sha256(b"sealed"),
)
PROTECTED = cbor.decode(CONTROL.protected)


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_a_statement_survives_its_bytes(statement: Statement) -> None:
    again = parse_statement(statement.encoded)
    assert again == statement
    assert again.digest == sha256(statement.encoded)
    assert again.is_signed_by(LAB.key.public)


def test_a_control_statement_carries_its_payload_and_names_its_body() -> None:
    assert CONTROL.is_control
    assert CONTROL.control == {"part": 1, "body": sha256(b"wraps")}
    assert CONTROL.body_hash == sha256(b"wraps")
    assert sign(LAB, header_of(LAB), {}).body_hash is None


def test_a_care_statement_carries_only_the_hash_of_its_body() -> None:
    assert not CARE.is_control
    assert CARE.control == {}
    assert CARE.body_hash == CARE.payload == sha256(b"sealed")


def test_another_key_did_not_sign_it() -> None:
    assert not CARE.is_signed_by(actor("pharmacy").key.public)
    assert not CARE.is_signed_by(bytes(32))


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_a_flipped_bit_anywhere_is_refused_by_the_parser_or_the_signature(statement: Statement) -> None:
    for bit in range(8 * len(statement.encoded)):
        flipped = bytearray(statement.encoded)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            parsed = parse_statement(bytes(flipped))
        except BadInputError:
            continue
        assert not parsed.is_signed_by(LAB.key.public), f"bit {bit} may flip"
        assert parsed.digest != statement.digest


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_a_statement_cut_at_any_byte_is_refused(statement: Statement) -> None:
    for end in range(len(statement.encoded)):
        with pytest.raises(EncodingError):
            parse_statement(statement.encoded[:end])


@given(st.binary(min_size=1, max_size=40))
def test_trailing_bytes_are_refused(tail: bytes) -> None:
    with pytest.raises(EncodingError, match="trailing"):
        parse_statement(CARE.encoded + tail)


@given(st.binary(max_size=120))
def test_random_bytes_raise_nothing_but_our_own_errors(data: bytes) -> None:
    for candidate in (data, b"\xd2\x84" + data, cose.encode_sign1(data, data, data)):
        with pytest.raises(BadInputError):
            parse_statement(candidate)


@given(st.integers(0, len(CARE.encoded) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_a_splice_is_refused_or_is_the_statement_itself(at: int, inserted: bytes, removed: int) -> None:
    spliced = CARE.encoded[:at] + inserted + CARE.encoded[at + removed :]
    try:
        parsed = parse_statement(spliced)
    except BadInputError:
        return
    assert parsed.is_signed_by(LAB.key.public) == (spliced == CARE.encoded)


@pytest.mark.parametrize(
    ("encoded", "rule"),
    [
        (sign_anything(LAB, PROTECTED, CONTROL.payload, batch=[0, 1, []]), "unprotected header is empty"),
        (cose.encode_sign1(CONTROL.protected, CONTROL.payload, bytes(63)), "signature has 64 bytes"),
        (cose.encode_sign1(CONTROL.protected, CONTROL.payload, b""), "signature has 64 bytes"),
        (cose.encode_sign1(CONTROL.protected, None, CONTROL.signature), "payload is not detached"),
        (cose.encode_sign1(CARE.protected, bytes(31), CARE.signature), "payload of a hash envelope is 32 bytes"),
        (sign_anything(LAB, PROTECTED, b""), "payload: "),
        (sign_anything(LAB, PROTECTED, b"\xa0\x00"), "payload: .*trailing"),
        (sign_anything(LAB, PROTECTED, b"\xa2\x61b\x00\x61a\x00"), "payload: .*out of order"),
        (sign_anything(LAB, PROTECTED, b"\xbf\xff"), "payload: .*indefinite"),
        (sign_anything(LAB, PROTECTED, b"\xa1\x61a\xfb" + bytes(8)), "payload: .*float"),
        (sign_anything(LAB, PROTECTED, b"\xa1\x61a" + b"\x81" * 16 + b"\x00"), "payload: nested deeper"),
        (sign_anything(LAB, PROTECTED, cbor.encode([])), "map with text keys"),
        (sign_anything(LAB, PROTECTED, cbor.encode({1: 2})), "map with text keys"),
        (sign_anything(LAB, PROTECTED, cbor.encode({"body": bytes(31)})), "payload.body is 32 bytes"),
        (sign_anything(LAB, PROTECTED, cbor.encode({"body": "x" * 32})), "payload.body is 32 bytes"),
        (sign_anything(LAB, PROTECTED | {"nett": 1}, CONTROL.payload), "header label nett is unknown"),
        (sign_anything(LAB, {}, CONTROL.payload), "is missing"),
    ],
)
def test_a_well_signed_statement_that_breaks_a_rule_is_refused_by_name(encoded: bytes, rule: str) -> None:
    with pytest.raises(StatementError, match=rule):
        parse_statement(encoded)


def test_a_header_in_another_order_is_refused_although_its_signature_holds() -> None:
    protected = b"\xa2\x04\x00\x01\x00"
    signature = LAB.key.sign(cose.encode_sig_structure(protected, b"\xa0"))
    with pytest.raises(EncodingError, match="out of order"):
        parse_statement(cose.encode_sign1(protected, b"\xa0", signature))


def test_nobody_signs_under_anothers_kid_by_mistake() -> None:
    with pytest.raises(ValueError, match="thumbprint"):
        sign(actor("pharmacy"), header_of(LAB), {})


def test_signing_refuses_to_make_what_parsing_would_refuse() -> None:
    for header in (header_of(LAB, type="Not A Name"), header_of(LAB, cti=b"short"), header_of(LAB, iat_s=-1)):
        with pytest.raises(StatementError):
            sign(LAB, header, {})


def test_signing_again_gives_the_same_bytes() -> None:
    assert sign(LAB, CARE.header, CARE.payload).encoded == CARE.encoded


def test_the_tag_is_the_same_for_a_rebuilt_statement_and_the_publishers_own() -> None:
    rebuilt = header_of(LAB, iat_s=1, epoch=bytes(16), kid=bytes(32))
    assert compute_tag(b"secret", header_of(LAB), b"said") == compute_tag(b"secret", rebuilt, b"said")
    assert len(compute_tag(b"secret", rebuilt, b"said")) == 16


@pytest.mark.parametrize(
    "change",
    [
        {"type": "care.condition"},
        {"subject": bytes(32)},
        {"cti": bytes(16)},
        {"compartment": "clinical"},
        {"replaces": bytes(32)},
    ],
)
def test_the_tag_differs_with_whatever_the_statement_says(change: dict[str, Any]) -> None:
    tag = compute_tag(b"secret", header_of(LAB), b"said")
    assert compute_tag(b"secret", header_of(LAB, **change), b"said") != tag
    assert compute_tag(b"secret", header_of(LAB), b"said otherwise") != tag
    assert compute_tag(b"another", header_of(LAB), b"said") != tag
