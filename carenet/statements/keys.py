"""Public keys as statements carry them: sizes, epoch ids, and the strings that separate one use of a key from another.

A key never signs bytes that someone else chose whole: whatever is signed or sealed outside a COSE message starts with
`domain(what)` (ARCHITECTURE section 4).
"""

from __future__ import annotations

from carenet.encoding.ids import sha256

SIGN_BYTES = 32
SIGNATURE_BYTES = 64
MLKEM768_BYTES = 1184
HPKE_BYTES = MLKEM768_BYTES + 32  # ML-KEM-768 ‖ X25519
MLDSA44_BYTES = 1312
EPOCH_ID_BYTES = 16


def domain(what: str) -> bytes:
    """The leading string of everything signed or sealed for one purpose: `carenet/<what>/v1` and a zero byte."""
    return f"carenet/{what}/v1".encode() + b"\0"


def compute_epoch_id(hpke_public: bytes) -> bytes:
    """The 16 bytes that name an epoch: the start of SHA-256 of its 1,216-byte HPKE public key."""
    return sha256(hpke_public)[:EPOCH_ID_BYTES]
