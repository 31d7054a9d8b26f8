"""Key holders for tests: everything follows from a label, so that a failing example can be built again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import SigningKey
from carenet.encoding.ids import sha256
from carenet.statements import keys
from carenet.statements.header import Header
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement, sign_statement

NOW_S = 1_790_000_000  # when the tests' logs begin


@cache
def signing_key(label: str) -> SigningKey:
    """The Ed25519 key of a label."""
    return SigningKey(sha256(label.encode()))


@cache
def hpke_public(label: str) -> bytes:
    """1,216 bytes in the place of an HPKE public key: the pure core only measures and hashes them."""
    blocks = (sha256(f"{label}/{place}".encode()) for place in range(keys.HPKE_BYTES // 32))
    return b"".join(blocks)


@dataclass(frozen=True)
class Actor:
    """A key holder.

    Attributes:
        name: its label.
        key: its current signing key.
        id: thumbprint of its first signing key.
        hpke: its HPKE public key.
    """

    name: str
    key: SigningKey = field(repr=False)
    id: bytes = field(repr=False)
    hpke: bytes = field(repr=False)

    @property
    def kid(self) -> bytes:
        """Thumbprint of the current key."""
        return cose.compute_thumbprint(self.key.public)

    def with_key(self, label: str) -> Actor:
        """The same participant after a rotation to the keys of a label."""
        return replace(self, key=signing_key(label), hpke=hpke_public(label))


def actor(name: str) -> Actor:
    """The actor of a name, with its first keys."""
    key = signing_key(name)
    return Actor(name, key, cose.compute_thumbprint(key.public), hpke_public(name))


def header_of(signer: Actor, **changes: Any) -> Header:
    """A control statement's header by `signer`, with the fields that a test names changed."""
    defaults = Header(
        network=sha256(b"network"),
        type="grant.give",
        issuer=signer.id,
        subject=sha256(b"subject"),
        iat_s=NOW_S,
        cti=sha256(b"cti")[:16],
        kid=signer.kid,
    )
    return replace(defaults, **changes)


def sign(signer: Actor, header: Header, payload: Shape | dict[str, Any] | bytes) -> Statement:
    """Sign a payload model, a map, or a payload's bytes."""
    if isinstance(payload, Shape):
        payload = payload.encode()
    elif isinstance(payload, dict):
        payload = cbor.encode(payload)
    return sign_statement(header, payload, signer.key)


def sign_anything(signer: Actor, header: dict[int | str, Any], payload: bytes, **unprotected: Any) -> bytes:
    """The bytes of a well-signed message whose header no rule has looked at."""
    protected = cbor.encode(header)
    signature = signer.key.sign(cose.encode_sig_structure(protected, payload))
    labels: dict[int | str, Any] = {}
    labels.update(unprotected)
    return cose.encode_sign1(protected, payload, signature, labels)
