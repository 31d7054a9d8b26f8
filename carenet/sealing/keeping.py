"""What its owner keeps for itself at rest, such as a plaintext that may have to be sealed again.

AES-256-GCM under a key that HKDF derives from the owner's tag secret, which no rotation changes; the purpose enters key
and associated data. Symmetric, since owner and reader are one: a spool writes one with every event.
"""

from __future__ import annotations

import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carenet.errors import SealError
from carenet.statements.keys import domain

_NONCE_BYTES = 12  # random: below 2**32 seals under one key a repeat is out of reach


def seal_own(secret: bytes, what: str, plaintext: bytes) -> bytes:
    """Nonce and ciphertext.

    Args:
        secret: the owner's, 32 bytes.
        what: the purpose, which `open_own` must repeat.
        plaintext: any.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(secret, what).encrypt(nonce, plaintext, domain(what))


def open_own(secret: bytes, what: str, sealed: bytes) -> bytes:
    """The reverse of `seal_own`.

    Raises:
        SealError: another secret or purpose, or changed.
    """
    try:
        return _cipher(secret, what).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], domain(what))
    except (InvalidTag, ValueError) as exc:
        raise SealError("not kept by this secret for this purpose, or changed") from exc


@lru_cache(maxsize=16)
def _cipher(secret: bytes, what: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=domain(what)).derive(secret))
