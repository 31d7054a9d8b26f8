"""A statement: one signed event about one subject, a COSE_Sign1 message (a SCITT Signed Statement).

`parse_statement` reads untrusted bytes without verifying the signature; `sign_statement` and `sign_batch` make them.
Not done here: whether the signer may say it (`carenet.rules`), and sealing (`carenet.sealing`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Self

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SIGNATURE_BYTES, SigningKey, is_valid_signature
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, StatementError
from carenet.ledger.hashes import hash_leaf
from carenet.statements.batch import (
    BatchPlace,
    compute_batch_root,
    encode_place,
    is_root_signed,
    read_place,
    sign_together,
)
from carenet.statements.header import ED25519_OVER_BATCH, Header, parse_header

DIGEST_BYTES = 32
TAG_BYTES = 16


@dataclass(slots=True, unsafe_hash=True)  # never changed; not frozen, which costs 2 us for each record that is read
class Statement:
    """A parsed statement, its signature not yet verified.

    Attributes:
        encoded: the bytes that came, which is what is hashed, stored and sent on.
        protected: the protected header's bytes.
        header: the same, read.
        payload: a control statement's deterministic CBOR map, or a care statement's SHA-256 of its body.
        signature: 64 bytes; the batch's where there is a place.
        place: where it stands in the batch that was signed, or None where it was signed singly.
    """

    encoded: bytes
    protected: bytes
    header: Header
    payload: bytes
    signature: bytes
    place: BatchPlace | None = None
    _digest: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _batch_root: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the encoded statement: it names the statement everywhere."""
        if self._digest is None:
            self._digest = sha256(self.encoded)
        return self._digest

    @property
    def is_control(self) -> bool:
        """Whether the payload is inline rather than a body's hash."""
        return self.header.content_type is None

    @property
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

    @property
    def batch_root(self) -> bytes | None:
        """The root of the batch that the place leads to, 32 bytes; None where it was signed singly.

        It needs no key and no state, so whoever reads many statements computes it where that may run in parallel.
        """
        if self._batch_root is None and self.place is not None:
            leaf = hash_leaf(cose.encode_sig_structure(self.protected, self.payload))
            self._batch_root = compute_batch_root(leaf, self.place)
        return self._batch_root

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the signature holds under an Ed25519 key (32 bytes); of a batch it is verified once."""
        root = self.batch_root
        if self.place is None or root is None:
            return is_valid_signature(public, self.signature, cose.encode_sig_structure(self.protected, self.payload))
        return is_root_signed(public, self.header.network, self.place.size, root, self.signature)


def parse_statement(encoded: bytes) -> Statement:
    """Read a statement's bytes.

    Raises:
        EncodingError: not a tagged COSE_Sign1 of deterministic CBOR.
        StatementError: a header or payload rule is broken.
    """
    message = cose.decode_sign1(encoded)
    if len(message.signature) != SIGNATURE_BYTES:
        raise StatementError("the signature has 64 bytes")
    if message.payload is None:
        raise StatementError("the payload is not detached")
    header = parse_header(message.header)
    place = _read_place(header, message.unprotected)
    _check_payload(header, message.payload)
    return Statement(encoded, message.protected, header, message.payload, message.signature, place)


def _read_place(header: Header, unprotected: dict[int | str, Any]) -> BatchPlace | None:
    """The place of a batch signature; nothing of any other, so that the signed `alg` says which of the two it is."""
    if header.alg == ED25519_OVER_BATCH:
        return read_place(unprotected)
    if unprotected:
        raise StatementError("the unprotected header is empty, but for a batch signature's place")
    return None


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


class Unsigned(NamedTuple):
    """What is about to be signed.

    Attributes:
        header: its kid is the signing key's thumbprint, its alg says how it will be signed.
        protected: the same, encoded.
        payload: as `Statement.payload`.
    """

    header: Header
    protected: bytes
    payload: bytes

    @classmethod
    def of(cls, header: Header, payload: bytes) -> Self:
        """Encode a header, and check it and the payload as a reader would.

        Raises:
            StatementError: a rule of `parse_statement` is broken.
        """
        protected = header.encode()
        parse_header(cbor.decode(protected))
        _check_payload(header, payload)
        return cls(header, protected, payload)


def sign_statement(header: Header, payload: bytes, key: SigningKey) -> Statement:
    """Sign a header and payload.

    Args:
        header: its kid must be the key's thumbprint.
        payload: as `Statement.payload`.
        key: the issuer's signing key.

    Raises:
        StatementError: what parsing would refuse.
        ValueError: kid is another key's, or alg a batch's.
    """
    return sign_unsigned(Unsigned.of(header, payload), key)


def sign_unsigned(unsigned: Unsigned, key: SigningKey) -> Statement:
    """As `sign_statement`, of parts that the caller has encoded and checked."""
    header, protected, payload = unsigned
    _check_key(header, key, cose.EDDSA)
    signature = key.sign(cose.encode_sig_structure(protected, payload))
    encoded = cose.frame_sign1(protected, cose.NOTHING_UNPROTECTED, payload, signature)
    return Statement(encoded, protected, header, payload, signature)


def sign_batch(batch: Sequence[Unsigned], key: SigningKey) -> list[Statement]:
    """Sign 1 to 1,024 statements of one network with one signature.

    Args:
        batch: their parts; each header's alg is -65537.
        key: the issuer's signing key.

    Raises:
        ValueError: none or too many, two networks, kid another key's, or another alg.
    """
    for each in batch:
        _check_key(each.header, key, ED25519_OVER_BATCH)
    networks = {each.header.network for each in batch}
    if len(networks) > 1:
        raise ValueError("a batch is of one network")
    signed_bytes = [cose.encode_sig_structure(each.protected, each.payload) for each in batch]
    signature, places = sign_together(networks.pop() if networks else b"", signed_bytes, key)
    signed = []
    for (header, protected, payload), place in zip(batch, places, strict=True):
        encoded = cose.frame_sign1(protected, encode_place(place), payload, signature)
        signed.append(Statement(encoded, protected, header, payload, signature, place))
    return signed


def _check_key(header: Header, key: SigningKey, alg: int) -> None:
    if header.kid != _compute_kid(key.public):
        raise ValueError("kid is not the thumbprint of the signing key")
    if header.alg != alg:
        raise ValueError(f"alg is {header.alg}, and this signs with {alg}")


@lru_cache(maxsize=64)  # a publisher signs with one key
def _compute_kid(public: bytes) -> bytes:
    return cose.compute_thumbprint(public)


def compute_tag(secret: bytes, header: Header, plaintext: bytes) -> bytes:
    """The 16 bytes by which a publisher that rebuilt a statement is recognised (ARCHITECTURE section 4, idempotency).

    Args:
        secret: the publisher's own, never shared.
        header: type, subject, cti, compartment and replaces enter.
        plaintext: the content before sealing; the payload of a control statement.
    """
    said = [header.subject, header.type, header.cti, header.compartment, header.replaces, plaintext]
    return hmac.new(secret, cbor.encode(said), hashlib.sha256).digest()[:TAG_BYTES]
