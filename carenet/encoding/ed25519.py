"""The one Ed25519 rule: libsodium's, through PyNaCl (non-canonical S and small-order keys refused, cofactorless).

Implementations disagree on crafted signatures; every replica uses this module and nothing else.
"""

from __future__ import annotations

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError, CryptoError

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SigningKey:
    """An Ed25519 private key.

    Args:
        seed: 32 secret bytes (RFC 8032 section 5.1.5).
    """

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ValueError("an Ed25519 seed has 32 bytes")
        self.public, self._secret = crypto_sign_seed_keypair(seed)
        self.seed = seed

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message (RFC 8032 section 5.1.6; deterministic)."""
        return bytes(crypto_sign(message, self._secret)[:SIGNATURE_BYTES])

    def __repr__(self) -> str:
        return f"<SigningKey {self.public[:4].hex()}…>"


def is_valid_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether libsodium accepts the signature.

    Args:
        public: 32 bytes.
        signature: 64 bytes.
        message: the exact bytes that were signed.
    """
    if len(signature) != SIGNATURE_BYTES or len(public) != KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except (BadSignatureError, CryptoError, ValueError):
        return False
    return True


def is_admissible_key(public: bytes) -> bool:
    """Whether a public key is a canonical point of the prime-order subgroup, as admission demands."""
    return len(public) == KEY_BYTES and bool(crypto_core_ed25519_is_valid_point(public))
