"""The least that publishing takes: HPKE seals and Ed25519 signatures by the bare libraries; one child of a crew.

As many bytes are sealed and signed as in a real event, to as many keys; keys are parsed before. Nothing is encoded,
hashed or sent.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from carenet.bench.contents import read_patients
from carenet.bench.crew import Task, Work, work_shift
from carenet.statements.keys import MLKEM768_BYTES

_INFO_BYTES = 48  # a label and a SHA-256


async def prepare(stack: AsyncExitStack, task: Task) -> Work:  # noqa: ARG001 - as every child's
    """Parse the keys.

    Args:
        stack: nothing to close.
        task: `patients`, `events`, `sealed` and `signed`: lengths in bytes.
    """
    keys = [_parse(each.epoch.public) for each in read_patients(Path(task["patients"]))]
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    _, secret = crypto_sign_seed_keypair(os.urandom(32))
    content, message, info = (os.urandom(length) for length in (task["sealed"], task["signed"], _INFO_BYTES))
    count = int(task["events"])

    async def work() -> int:
        for number in range(count):
            suite.encrypt(content, keys[number % len(keys)], info=info)
            crypto_sign(message, secret)
        return count

    return work


def _parse(public: bytes) -> hpke.MLKEM768X25519PublicKey:
    kem = MLKEM768PublicKey.from_public_bytes(public[:MLKEM768_BYTES])
    return hpke.MLKEM768X25519PublicKey(kem, X25519PublicKey.from_public_bytes(public[MLKEM768_BYTES:]))


if __name__ == "__main__":
    work_shift(prepare)
