from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.errors import StatementError
from carenet.statements.header import ED25519_OVER_BATCH, Header, parse_header
from tests.support.actors import actor, header_of

ids = st.binary(min_size=32, max_size=32)
short = st.binary(min_size=16, max_size=16)
names = st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=127)
headers = st.builds(
    Header,
    network=ids,
    type=names,
    issuer=ids,
    subject=ids,
    iat_s=st.integers(0, cbor.MAX_INT),
    cti=short,
    kid=ids,
    content_type=st.none() | texts,
    compartment=st.none() | names,
    epoch=st.none() | short,
    tag=st.none() | short,
    replaces=st.none() | ids,
    trigger=st.none() | ids,
    alg=st.sampled_from([cose.EDDSA, ED25519_OVER_BATCH]),
)

CONTROL = header_of(actor("clinician"))
CARE = header_of(actor("clinician"), content_type="application/fhir+json")
CLAIMS = cbor.decode(CONTROL.encode())[cose.CWT_CLAIMS]


def changed(header: Header = CONTROL, drop: tuple[int | str, ...] = (), **labels: Any) -> dict[int | str, Any]:
    """A header's map with labels left out or set; `_16` stands for label 16, `for_` for "for"."""
    out = cbor.decode(header.encode())
    for label, value in labels.items():
        out[int(label[1:]) if label.startswith("_") else label.rstrip("_")] = value
    return {label: value for label, value in out.items() if label not in drop}


@given(headers)
def test_a_header_survives_its_encoding(header: Header) -> None:
    assert parse_header(cbor.decode(header.encode())) == header


@given(headers, headers)
def test_two_headers_that_differ_have_other_bytes(one: Header, other: Header) -> None:
    assert (one == other) == (one.encode() == other.encode())


def test_the_labels_are_those_of_the_standards() -> None:
    assert cbor.decode(CONTROL.encode()) == {
        1: -8,
        3: "application/cbor",
        4: CONTROL.kid,
        15: CLAIMS,
        16: "application/carenet-statement",
        "net": CONTROL.network,
        "type": "grant.give",
    }
    envelope = cbor.decode(CARE.encode())
    assert (envelope[258], envelope[259]) == (-16, "application/fhir+json")
    assert 3 not in envelope
    assert {key: type(value) for key, value in CLAIMS.items()} == {1: str, 2: str, 6: int, 7: bytes}


def test_every_optional_field_is_a_label_of_its_own() -> None:
    bare = cbor.decode(CONTROL.encode()).keys()
    for name, value in {
        "compartment": "clinical",
        "epoch": bytes(16),
        "tag": bytes(16),
        "replaces": bytes(32),
        "trigger": bytes(32),
    }.items():
        label = "for" if name == "trigger" else name
        written = cbor.decode(header_of(actor("clinician"), **{name: value}).encode())
        assert written.keys() - bare == {label}
    assert len(fields(Header)) == 14


@pytest.mark.parametrize("label", [1, 4, 15, 16, "net", "type"])
def test_a_missing_label_is_refused_by_name(label: int | str) -> None:
    with pytest.raises(StatementError, match=f"header label {label} is missing"):
        parse_header(changed(drop=(label,)))


@pytest.mark.parametrize("label", [0, 2, 5, 6, 33, 260, 394, -1, "nett", "batch"])
def test_an_unknown_label_is_refused_by_name(label: int | str) -> None:
    with pytest.raises(StatementError, match=f"header label {str(label)[:64]} is unknown"):
        parse_header(changed() | {label: 1})


@pytest.mark.parametrize("label", ["Type", "x" * 100, "\x1b[2J", "Ada Lovelace"])
def test_an_unknown_label_that_is_no_name_is_not_quoted(label: str) -> None:
    with pytest.raises(StatementError, match="header label that is no name is unknown"):
        parse_header(changed() | {label: 1})


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        ({"_1": -19}, "alg is -8"),
        ({"_1": "EdDSA"}, "alg is -8"),
        ({"_1": [-8]}, "alg is -8"),
        ({"_4": bytes(31)}, "kid is 32 bytes"),
        ({"_4": "x" * 32}, "kid is 32 bytes"),
        ({"_16": "application/carenet-receipt"}, "typ is application/carenet-statement"),
        ({"_16": None}, "typ is"),
        ({"net": bytes(33)}, "net is 32 bytes"),
        ({"net": None}, "net is 32 bytes"),
        ({"type": ""}, "type is a name"),
        ({"type": "Care.observation"}, "type is a name"),
        ({"type": "care observation"}, "type is a name"),
        ({"type": "x" * 65}, "type is a name"),
        ({"type": "care.observation\n"}, "type is a name"),
        ({"type": b"care.observation"}, "type is a name"),
        ({"compartment": ""}, "compartment is ill-formed"),
        ({"compartment": None}, "compartment is ill-formed"),
        ({"epoch": bytes(15)}, "epoch is ill-formed"),
        ({"epoch": None}, "epoch is ill-formed"),
        ({"tag": bytes(17)}, "tag is ill-formed"),
        ({"replaces": bytes(16)}, "replaces is ill-formed"),
        ({"for_": "x"}, "for is ill-formed"),
    ],
)
def test_an_ill_formed_label_is_refused_by_its_rule(labels: dict[str, Any], rule: str) -> None:
    with pytest.raises(StatementError, match=f"^header: {rule}"):
        parse_header(changed(**labels))


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        (None, "claims are iss, sub, iat and cti"),
        ([], "claims are iss, sub, iat and cti"),
        ({key: value for key, value in CLAIMS.items() if key != 7}, "claims are iss, sub, iat and cti"),
        (CLAIMS | {4: 1}, "claims are iss, sub, iat and cti"),
        (CLAIMS | {"iss": 1}, "claims are iss, sub, iat and cti"),
        (CLAIMS | {1: CONTROL.issuer}, "iss and sub are text"),
        (CLAIMS | {2: None}, "iss and sub are text"),
        (CLAIMS | {6: -1}, "iat is seconds since 1970"),
        (CLAIMS | {6: True}, "iat is seconds since 1970"),
        (CLAIMS | {6: "0"}, "iat is seconds since 1970"),
        (CLAIMS | {7: bytes(15)}, "cti is 16 bytes"),
        (CLAIMS | {7: "x" * 16}, "cti is 16 bytes"),
    ],
)
def test_ill_formed_claims_are_refused_by_their_rule(claims: Any, rule: str) -> None:
    with pytest.raises(StatementError, match=rule):
        parse_header(changed(_15=claims))


@pytest.mark.parametrize("label", [1, 2])
@pytest.mark.parametrize(
    "text", ["", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "B", "A" * 42 + "+", "A" * 43 + "\n"]
)
def test_an_id_that_is_not_canonical_base64url_is_refused(label: int, text: str) -> None:
    with pytest.raises(StatementError, match="iss or sub"):
        parse_header(changed(_15=CLAIMS | {label: text}))


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        (changed(drop=(3,)), "either label 3, or 258 and 259"),
        (changed(_3="application/json"), "content type is application/cbor"),
        (changed(_3=60), "content type is application/cbor"),
        (changed(_258=-16), "either label 3, or 258 and 259"),
        (changed(_258=-16, _259="application/fhir+json"), "either label 3, or 258 and 259"),
        (changed(CARE, drop=(258,)), "either label 3, or 258 and 259"),
        (changed(CARE, drop=(259,)), "either label 3, or 258 and 259"),
        (changed(CARE, _258=-44), "258 is -16"),
        (changed(CARE, _259=60), "259 is a media type"),
        (changed(CARE, _259=""), "259 is a media type"),
        (changed(CARE, _259="x" * 128), "259 is a media type"),
    ],
)
def test_a_header_is_either_control_or_a_hash_envelope(header: dict[int | str, Any], rule: str) -> None:
    with pytest.raises(StatementError, match=rule):
        parse_header(header)


@given(st.dictionaries(st.sampled_from([1, 3, 4, 15, 16, 258, 259, "net", "type", "epoch"]), st.integers() | texts))
def test_any_map_is_read_or_refused_with_our_own_error(header: dict[int | str, Any]) -> None:
    with pytest.raises(StatementError):
        parse_header(header)
