"""HPKE in base mode with the one suite of carenet, and its keys as bytes.

KEM MLKEM768-X25519, KDF HKDF-SHA256, AEAD AES-256-GCM, single shot. A public key is ML-KEM-768 (1,184 bytes) ‖ X25519
(32); a private key is the ML-KEM seed (64) ‖ X25519 (32). What a ciphertext is bound to goes into `info`: for one shot
that binds as associated data would. Not done here: padding, and which `info` (`bodies`, `wraps`).

Source: RFC 9180; the hybrid KEM as the `cryptography` package implements it.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from carenet.errors import SealError
from carenet.statements.keys import HPKE_BYTES, MLKEM768_BYTES

PRIVATE_BYTES = 96
OVERHEAD_BYTES = 1136  # encapsulated key 1,120 and AES-GCM's tag 16

_SEED_BYTES = 64
_KEPT_KEYS = 4096  # of 7 KB; parsing one costs more than half a seal, and a publisher goes round its patients
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def generate_private_key() -> bytes:
    """A new private key, 96 bytes."""
    return MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()


@lru_cache(maxsize=_KEPT_KEYS)  # asked at every opening: whether the key is that of the epoch which the statement names
def compute_public_key(private: bytes) -> bytes:
    """The public half, 1,216 bytes.

    Raises:
        SealError: not 96 bytes.
    """
    kem, curve = _split_private(private)
    return kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encapsulated key and ciphertext; `OVERHEAD_BYTES` longer than the plaintext.

    Raises:
        SealError: not a public key, or one that gives no shared secret.
    """
    key = _load_public(public)
    try:
        return _SUITE.encrypt(plaintext, key, info=info)
    except ValueError as exc:
        raise SealError("the HPKE public key gives no shared secret") from exc


def open_sealed(private: bytes, info: bytes, sealed: bytes) -> bytes:
    """The plaintext.

    Raises:
        SealError: sealed to another key, with another `info`, or changed.
    """
    key = _load_private(private)
    try:
        return _SUITE.decrypt(sealed, key, info=info)
    except (InvalidTag, ValueError) as exc:
        raise SealError("not sealed to this key for this purpose, or changed") from exc


@lru_cache(maxsize=_KEPT_KEYS)
def _load_public(public: bytes) -> hpke.MLKEM768X25519PublicKey:
    if len(public) != HPKE_BYTES:
        raise SealError(f"an HPKE public key has {HPKE_BYTES} bytes")
    try:
        kem = MLKEM768PublicKey.from_public_bytes(public[:MLKEM768_BYTES])
        curve = X25519PublicKey.from_public_bytes(public[MLKEM768_BYTES:])
    except ValueError as exc:
        raise SealError("not an HPKE public key") from exc
    return hpke.MLKEM768X25519PublicKey(kem, curve)


@lru_cache(maxsize=_KEPT_KEYS)
def _load_private(private: bytes) -> hpke.MLKEM768X25519PrivateKey:
    return hpke.MLKEM768X25519PrivateKey(*_split_private(private))


def _split_private(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(private) != PRIVATE_BYTES:
        raise SealError(f"an HPKE private key has {PRIVATE_BYTES} bytes")
    kem = MLKEM768PrivateKey.from_seed_bytes(private[:_SEED_BYTES])
    return kem, X25519PrivateKey.from_private_bytes(private[_SEED_BYTES:])
