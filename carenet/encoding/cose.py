"""COSE_Sign1 framing (RFC 9052 section 4) and key thumbprints (RFC 9679), over our strict CBOR.

Not done here: what the headers mean (`carenet.statements`, `carenet.ledger.receipts`), and whether a signature holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carenet.encoding import cbor
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError

ALG, CONTENT_TYPE, KID, CWT_CLAIMS, TYP = 1, 3, 4, 15, 16
EDDSA = -8  # with Ed25519; the value that today's COSE verifiers know (RFC 9053 section 2.2)

NOTHING_UNPROTECTED = b"\xa0"  # an empty unprotected header, encoded

_TAG_SIGN1 = 0xD2  # tag 18
_SIGN1_ITEMS = 4
_BYTES = 2  # the CBOR major type of byte strings
_THUMBPRINT_PREFIX = bytes.fromhex("a3010120062158 20".replace(" ", ""))  # {1: 1 (OKP), -1: 6 (Ed25519), -2: x}


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1 message, unverified.

    Attributes:
        protected: the protected header's bytes, as signed.
        header: the same, decoded.
        unprotected: the unprotected header.
        payload: the signed payload, or None where it is detached.
        signature: as it came.
    """

    protected: bytes
    header: dict[int | str, Any]
    unprotected: dict[int | str, Any]
    payload: bytes | None
    signature: bytes


def encode_sign1(
    protected: bytes, payload: bytes | None, signature: bytes, unprotected: dict[int | str, Any] | None = None
) -> bytes:
    """The tagged message (tag 18). `protected` is the encoded header map."""
    return frame_sign1(protected, cbor.encode(unprotected or {}), payload, signature)


def frame_sign1(protected: bytes, unprotected: bytes, payload: bytes | None, signature: bytes) -> bytes:
    """As `encode_sign1`, the unprotected header being encoded already."""
    head = bytes((_TAG_SIGN1, 0x80 | _SIGN1_ITEMS))
    written = b"\xf6" if payload is None else _encode_bytes(payload)
    return head + _encode_bytes(protected) + unprotected + written + _encode_bytes(signature)


def decode_sign1(data: bytes) -> Sign1:
    """Read a tagged COSE_Sign1 message without verifying it.

    Raises:
        EncodingError: not tag 18, not four items of the right types, or not deterministic CBOR.
    """
    if not data or data[0] != _TAG_SIGN1:
        raise EncodingError("a COSE_Sign1 message starts with tag 18")
    items = cbor.decode(data[1:])
    if not isinstance(items, list) or len(items) != _SIGN1_ITEMS:
        raise EncodingError("a COSE_Sign1 message is an array of four")
    protected, unprotected, payload, signature = items
    if not (isinstance(protected, bytes) and isinstance(unprotected, dict) and isinstance(signature, bytes)):
        raise EncodingError("COSE_Sign1 is [bytes, map, bytes or null, bytes]")
    if payload is not None and not isinstance(payload, bytes):
        raise EncodingError("a COSE_Sign1 payload is bytes or null")
    header = cbor.decode(protected)
    if not isinstance(header, dict):
        raise EncodingError("a protected header is a map")
    return Sign1(protected, header, unprotected, payload, signature)


def encode_sig_structure(protected: bytes, payload: bytes) -> bytes:
    """The bytes that a COSE_Sign1 signature covers, with empty external data (RFC 9052 section 4.4)."""
    return b"\x84\x6aSignature1" + _encode_bytes(protected) + b"\x40" + _encode_bytes(payload)


def _encode_bytes(data: bytes) -> bytes:
    """A byte string, without the general encoder: what is signed and framed is nothing else."""
    return cbor.encode_head(_BYTES, len(data)) + data


def compute_thumbprint(ed25519_public: bytes) -> bytes:
    """The SHA-256 COSE Key Thumbprint of an Ed25519 key, 32 bytes (RFC 9679 section 3)."""
    return sha256(_THUMBPRINT_PREFIX + ed25519_public)
