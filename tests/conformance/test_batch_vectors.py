"""Batch signatures under their golden file, judged by ours and by code that shares nothing with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from carenet.errors import EncodingError, StatementError
from carenet.statements.statement import parse_statement
from tests.support.batchvectors import build_vectors

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "batch_signatures.json").read_text())
PUBLIC, NETWORK = bytes.fromhex(VECTORS["public"]), bytes.fromhex(VECTORS["network"])


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2, in its own words."""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            if not fn & 1:
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


def judge(encoded: bytes) -> str | None:
    """The reason for which a statement is refused, or None."""
    try:
        statement = parse_statement(encoded)
    except EncodingError:
        return "bad_encoding"
    except StatementError:
        return "bad_statement"
    return None if statement.is_signed_by(PUBLIC) else "bad_signature"


def test_the_file_is_what_its_maker_makes() -> None:
    assert build_vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda each: f"{each['index']}-of-{each['size']}")
def test_a_place_leads_to_the_signed_root_by_the_letter_of_the_standards(vector: dict[str, Any]) -> None:
    encoded = bytes.fromhex(vector["statement"])
    assert hashlib.sha256(encoded).hexdigest() == vector["digest"]
    protected, unprotected, payload, signature = cbor2.loads(encoded).value
    assert cbor2.loads(protected)[1] == -65537
    index, size, path = unprotected["batch"]
    assert (index, size, [step.hex() for step in path]) == (vector["index"], vector["size"], vector["path"])
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    root = root_of(hashlib.sha256(b"\x00" + signed).digest(), index, size, path)
    assert root.hex() == vector["root"]
    message = b"carenet/batch/v1\0" + NETWORK + size.to_bytes(4, "big") + root
    Ed25519PublicKey.from_public_bytes(PUBLIC).verify(signature, message)


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda each: f"{each['index']}-of-{each['size']}")
def test_we_accept_what_the_file_accepts(vector: dict[str, Any]) -> None:
    assert judge(bytes.fromhex(vector["statement"])) is None


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda each: each["name"])
def test_we_refuse_what_the_file_refuses_for_its_reason(vector: dict[str, Any]) -> None:
    assert judge(bytes.fromhex(vector["statement"])) == vector["reason"]
