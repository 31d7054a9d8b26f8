from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SigningKey, is_valid_signature
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, EncodingError, ProofError
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.prover import inclusion_path
from carenet.ledger.receipts import build_receipt, verify_receipt
from carenet.ledger.tree import Tree

SIZE, INDEX = 7, 4
NODE = SigningKey(b"n" * 32)
KID = cose.compute_thumbprint(NODE.public)
NODE_KEYS = {KID: NODE.public}
ENTRIES = [Entry(b"s" * 32, 0, NO_PREV, sha256(b"statement %d" % n), n).encode() for n in range(SIZE)]
ENTRY, DIGEST = ENTRIES[INDEX], sha256(b"statement %d" % INDEX)


def build_log() -> tuple[Checkpoint, list[bytes]]:
    tree = Tree()
    for n in range(SIZE):
        tree.append(Entry(b"s" * 32, 0, NO_PREV, sha256(b"statement %d" % n), n).leaf_hash)
    checkpoint = Checkpoint(origin_of(bytes(32), 0), SIZE, tree.root())
    return checkpoint, inclusion_path(INDEX, SIZE, tree.partial_tiles())


CHECKPOINT, PATH = build_log()
RECEIPT = build_receipt(CHECKPOINT, ENTRY, INDEX, PATH, NODE)


def rebuild(
    header: dict[int | str, Any] | None = None,
    unprotected: dict[int | str, Any] | None = None,
    payload: bytes | None = None,
    key: SigningKey = NODE,
) -> bytes:
    """The receipt with parts exchanged, and signed afresh: what a node that cheats could make."""
    message = cose.decode_sign1(RECEIPT)
    changed = {label: value for label, value in (message.header | (header or {})).items() if value is not ...}
    protected = cbor.encode(changed)
    signature = key.sign(cose.encode_sig_structure(protected, CHECKPOINT.root))
    return cose.encode_sign1(protected, payload, signature, message.unprotected if unprotected is None else unprotected)


def proof(*items: Any) -> dict[int | str, Any]:
    return {396: {-1: [cbor.encode(list(items))]}}


def test_a_receipt_proves_its_entry() -> None:
    verified = verify_receipt(RECEIPT, ENTRY, DIGEST, NODE_KEYS)
    assert (verified.origin, verified.size, verified.root) == (CHECKPOINT.origin, SIZE, CHECKPOINT.root)
    assert (verified.index, verified.kid) == (INDEX, KID)
    assert verified.entry.encode() == ENTRY
    assert rebuild() == RECEIPT


def test_a_receipt_has_the_form_of_rfc_9942() -> None:
    protected, unprotected, payload, signature = cbor2.loads(RECEIPT).value
    header = cbor2.loads(protected)
    assert header == {
        1: -8,
        4: KID,
        16: "application/carenet-receipt",
        395: 1,
        "origin": CHECKPOINT.origin,
        "size": SIZE,
    }
    assert payload is None
    assert cbor2.loads(dict(unprotected)[396][-1][0]) == [SIZE, INDEX, PATH]
    signed = cbor2.dumps(["Signature1", protected, b"", CHECKPOINT.root])
    assert is_valid_signature(NODE.public, signature, signed)


def test_a_receipt_does_not_serve_for_another_statement() -> None:
    other = sha256(b"statement 5")
    with pytest.raises(ProofError, match="another statement"):
        verify_receipt(RECEIPT, ENTRY, other, NODE_KEYS)
    with pytest.raises(ProofError, match="signature does not hold"):
        verify_receipt(RECEIPT, ENTRIES[5], other, NODE_KEYS)


def test_only_the_networks_nodes_count() -> None:
    with pytest.raises(ProofError, match="known node"):
        verify_receipt(RECEIPT, ENTRY, DIGEST, {})
    with pytest.raises(ProofError, match="signature does not hold"):
        verify_receipt(rebuild(key=SigningKey(b"x" * 32)), ENTRY, DIGEST, NODE_KEYS)


def test_an_entry_that_does_not_decode_is_refused() -> None:
    with pytest.raises(EncodingError):
        verify_receipt(RECEIPT, ENTRY + b"\0", DIGEST, NODE_KEYS)


@pytest.mark.parametrize(
    "header",
    [
        {1: -7},
        {1: ...},
        {3: "application/cbor"},
        {4: ...},
        {4: KID.hex()},
        {16: "application/carenet-statement"},
        {16: ...},
        {395: 2},
        {395: True},
        {395: ...},
        {"origin": ...},
        {"origin": b"bytes"},
        {"size": ...},
        {"size": SIZE + 1},
        {"size": "7"},
        {"other": 1},
    ],
)
def test_another_protected_header_is_refused_even_when_signed(header: dict[int | str, Any]) -> None:
    with pytest.raises(EncodingError, match="receipt's"):
        verify_receipt(rebuild(header), ENTRY, DIGEST, NODE_KEYS)


@pytest.mark.parametrize(
    "unprotected",
    [
        {},
        {396: []},
        {396: {}},
        {396: {-1: []}},
        {396: {-1: [b"", b""]}},
        {396: {-1: ["text"]}},
        {396: {-1: [b"\xff"]}},
        {396: {-2: [b""]}},
        proof(SIZE, INDEX, PATH) | {4: KID},
        {396: {-1: [cbor.encode([SIZE, INDEX, PATH])], -2: []}},
        proof(SIZE, INDEX),
        proof(SIZE, INDEX, PATH, 0),
        proof(SIZE, INDEX, {}),
        proof(SIZE, INDEX, ["text"]),
        proof(SIZE, True, PATH),
        proof(True, INDEX, PATH),
        proof(SIZE + 1, INDEX, PATH),
    ],
)
def test_another_unprotected_header_is_refused(unprotected: dict[int | str, Any]) -> None:
    with pytest.raises(EncodingError):
        verify_receipt(rebuild(unprotected=unprotected), ENTRY, DIGEST, NODE_KEYS)


@pytest.mark.parametrize(
    "unprotected",
    [
        proof(SIZE, INDEX + 1, PATH),
        proof(SIZE, -1, PATH),
        proof(SIZE, SIZE, PATH),
        proof(SIZE, INDEX, PATH[:-1]),
        proof(SIZE, INDEX, [*PATH, PATH[0]]),
        proof(SIZE, INDEX, PATH[::-1]),
        proof(SIZE, INDEX, [b"short", *PATH[1:]]),
    ],
)
def test_a_path_that_does_not_fit_is_refused(unprotected: dict[int | str, Any]) -> None:
    with pytest.raises(ProofError):
        verify_receipt(rebuild(unprotected=unprotected), ENTRY, DIGEST, NODE_KEYS)


def test_a_payload_that_travels_along_is_refused() -> None:
    with pytest.raises(EncodingError, match="detached"):
        verify_receipt(rebuild(payload=CHECKPOINT.root), ENTRY, DIGEST, NODE_KEYS)


@settings(max_examples=300)
@given(st.integers(0, 8 * len(RECEIPT) - 1))
def test_a_receipt_with_any_bit_turned_is_refused(bit: int) -> None:
    raw = bytearray(RECEIPT)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadInputError):
        verify_receipt(bytes(raw), ENTRY, DIGEST, NODE_KEYS)


@given(st.integers(0, 8 * len(ENTRY) - 1))
def test_a_receipt_with_an_entry_with_any_bit_turned_is_refused(bit: int) -> None:
    raw = bytearray(ENTRY)
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadInputError):
        verify_receipt(RECEIPT, bytes(raw), DIGEST, NODE_KEYS)


def test_a_receipt_that_would_not_verify_is_not_signed() -> None:
    with pytest.raises(ProofError):
        build_receipt(CHECKPOINT, ENTRY, INDEX + 1, PATH, NODE)
