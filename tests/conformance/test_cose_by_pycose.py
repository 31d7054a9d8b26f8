"""Our statements under another implementation of COSE, and its messages under ours."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SigningKey
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError
from carenet.ledger.checkpoint import Checkpoint
from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.receipts import build_receipt
from carenet.statements.statement import Statement, parse_statement
from tests.support.actors import actor, header_of, sign

LAB = actor("lab")
CONTROL = sign(LAB, header_of(LAB), {"grantee": bytes(32), "body": sha256(b"wraps")})
CARE = sign(
    LAB,
    header_of(
        LAB, type="care.observation", content_type="application/fhir+json", compartment="clinical", tag=bytes(16)
    ),
    sha256(b"sealed"),
)


def their_key(key: SigningKey) -> OKPKey:
    return OKPKey(crv=Ed25519, x=key.public, d=key.seed)


def read_by_them(encoded: bytes) -> Any:
    message = Sign1Message.decode(encoded)
    message.key = their_key(LAB.key)
    return message


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_they_verify_our_statements(statement: Statement) -> None:
    message = read_by_them(statement.encoded)
    assert message.verify_signature()
    assert message.payload == statement.payload
    assert message.phdr[Algorithm] == EdDSA
    assert message.phdr[KID] == LAB.kid
    assert message.uhdr == {}


def test_they_read_our_labels_where_the_standards_have_them() -> None:
    control, care = cbor2.loads(CONTROL.protected), cbor2.loads(CARE.protected)
    assert control[15][6] == CONTROL.header.iat_s
    assert (care[258], care[259], care["compartment"]) == (-16, "application/fhir+json", "clinical")
    assert read_by_them(CONTROL.encoded).phdr[ContentType] == "application/cbor"


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_they_refuse_our_statements_under_another_key_or_with_another_payload(statement: Statement) -> None:
    message = read_by_them(statement.encoded)
    message.key = their_key(SigningKey(bytes(32)))
    assert not message.verify_signature()
    message = read_by_them(cose.encode_sign1(statement.protected, statement.payload + b"\x00", statement.signature))
    assert not message.verify_signature()


@pytest.mark.parametrize("statement", [CONTROL, CARE])
def test_we_accept_what_they_sign_over_the_same_header(statement: Statement) -> None:
    message = Sign1Message(phdr={Algorithm: EdDSA}, payload=statement.payload, key=their_key(LAB.key))
    message._phdr_encoded = statement.protected
    theirs = message.encode()
    assert theirs == statement.encoded
    assert parse_statement(theirs).is_signed_by(LAB.key.public)


def test_we_frame_and_verify_any_message_of_theirs() -> None:
    theirs = Sign1Message(phdr={Algorithm: EdDSA, KID: b"them"}, payload=b"said", key=their_key(LAB.key)).encode()
    message = cose.decode_sign1(theirs)
    assert message.header == {cose.ALG: cose.EDDSA, cose.KID: b"them"}
    signed = cose.encode_sig_structure(message.protected, b"said")
    assert message.signature == LAB.key.sign(signed)
    with pytest.raises(BadInputError):  # well signed, but no statement
        parse_statement(theirs)


def test_they_verify_our_receipts_over_the_detached_root() -> None:
    entry = Entry(bytes(32), 0, NO_PREV, CARE.digest, 1).encode()
    root = hash_leaf(entry)
    message = read_by_them(build_receipt(Checkpoint("net/0", 1, root), entry, 0, [], LAB.key))
    assert message.payload is None
    message._payload = root
    assert message.verify_signature()


def test_the_thumbprint_is_the_hash_of_the_required_members_in_deterministic_order() -> None:
    # RFC 9679 section 3: {1: kty, -1: crv, -2: x} of an OKP key; its own worked example is an EC2 key, which carenet
    # does not have, so its bytes are checked for the shared rule: ascending encoded labels, SHA-256.
    example = bytes.fromhex(
        "a401022001215820"
        "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
        "225820"
        "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"
    )
    key = {1: 2, -1: 1, -2: example[8:40], -3: example[43:]}
    assert cbor.encode(key) == example
    assert sha256(example).hex() == "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
    public = LAB.key.public
    assert cose.compute_thumbprint(public) == sha256(cbor.encode({1: 1, -1: 6, -2: public}))
