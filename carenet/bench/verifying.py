"""What one core can verify: libsodium's Ed25519 at the length of a real event's Sig_structure."""

from __future__ import annotations

import os
import time

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

_MESSAGES = 256  # other bytes each time


def measure_verify_us(length: int, count: int = 5000) -> float:
    """Microseconds of CPU of one verification.

    CPU time rather than the clock's: what else runs on the machine would make the baseline slow, and us look good.

    Args:
        length: bytes of the message.
        count: how many are verified.
    """
    public, secret = crypto_sign_seed_keypair(os.urandom(32))
    signed = [crypto_sign(os.urandom(length), secret) for _ in range(_MESSAGES)]
    began_s = time.thread_time()
    for number in range(count):
        crypto_sign_open(signed[number % _MESSAGES], public)
    return (time.thread_time() - began_s) / count * 1e6
