"""A statement: one signed event about one subject, a COSE_Sign1 message (a SCITT Signed Statement).

`parse_statement` reads untrusted bytes without verifying the signature; `sign_statement` makes them. Not done here:
whether the signer may say it (`carenet.rules`), and sealing (`carenet.sealing`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SIGNATURE_BYTES, SigningKey, is_valid_signature
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, StatementError
from carenet.statements.header import Header, parse_header

DIGEST_BYTES = 32
TAG_BYTES = 16


@dataclass(frozen=True)
class Statement:
    """A parsed statement, its signature not yet verified.

    Attributes:
        encoded: the bytes that came, which is what is hashed, stored and sent on.
        protected: the protected header's bytes.
        header: the same, read.
        payload: a control statement's deterministic CBOR map, or a care statement's SHA-256 of its body.
        signature: 64 bytes.
    """

    encoded: bytes
    protected: bytes
    header: Header
    payload: bytes
    signature: bytes

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the encoded statement: it names the statement everywhere."""
        return sha256(self.encoded)

    @property
    def is_control(self) -> bool:
        """Whether the payload is inline rather than a body's hash."""
        return self.header.content_type is None

    @cached_property
    def control(self) -> dict[str, Any]:
        """A control statement's payload, decoded (checked to be a map when it was parsed)."""
        return dict(cbor.decode(self.payload)) if self.is_control else {}

    @property
    def body_hash(self) -> bytes | None:
        """SHA-256 of the body that this statement names, or None where it has none."""
        if not self.is_control:
            return self.payload
        named = self.control.get("body")
        return named if isinstance(named, bytes) else None

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the signature holds under an Ed25519 key (32 bytes)."""
        return is_valid_signature(public, self.signature, cose.encode_sig_structure(self.protected, self.payload))


def parse_statement(encoded: bytes) -> Statement:
    """Read a statement's bytes.

    Raises:
        EncodingError: not a tagged COSE_Sign1 of deterministic CBOR.
        StatementError: a header or payload rule is broken.
    """
    message = cose.decode_sign1(encoded)
    if message.unprotected:
        raise StatementError("the unprotected header is empty")
    if len(message.signature) != SIGNATURE_BYTES:
        raise StatementError("the signature has 64 bytes")
    if message.payload is None:
        raise StatementError("the payload is not detached")
    header = parse_header(message.header)
    _check_payload(header, message.payload)
    return Statement(encoded, message.protected, header, message.payload, message.signature)


def _check_payload(header: Header, payload: bytes) -> None:
    if header.content_type is not None:
        if len(payload) != DIGEST_BYTES:
            raise StatementError("the payload of a hash envelope is 32 bytes")
        return
    try:
        value = cbor.decode(payload)
    except EncodingError as exc:
        raise StatementError(f"payload: {exc}") from exc
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise StatementError("a control payload is a map with text keys")
    named = value.get("body")
    if named is not None and not (isinstance(named, bytes) and len(named) == DIGEST_BYTES):
        raise StatementError("payload.body is 32 bytes")


def sign_statement(header: Header, payload: bytes, key: SigningKey) -> Statement:
    """Sign a header and payload.

    Args:
        header: its kid must be the key's thumbprint.
        payload: as `Statement.payload`.
        key: the issuer's signing key.
    """
    if header.kid != cose.compute_thumbprint(key.public):
        raise ValueError("kid is not the thumbprint of the signing key")
    protected = header.encode()
    signature = key.sign(cose.encode_sig_structure(protected, payload))
    return parse_statement(cose.encode_sign1(protected, payload, signature))


def compute_tag(secret: bytes, header: Header, plaintext: bytes) -> bytes:
    """The 16 bytes by which a publisher that rebuilt a statement is recognised (ARCHITECTURE section 4, idempotency).

    Args:
        secret: the publisher's own, never shared.
        header: type, subject, cti, compartment and replaces enter.
        plaintext: the content before sealing; the payload of a control statement.
    """
    said = [header.subject, header.type, header.cti, header.compartment, header.replaces, plaintext]
    return hmac.new(secret, cbor.encode(said), hashlib.sha256).digest()[:TAG_BYTES]
