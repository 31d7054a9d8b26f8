"""Project Wycheproof's vectors: our one Ed25519 rule, and the primitives that `cryptography`'s HPKE rests on.

Each test goes through all cases of its file and says which ones came out otherwise.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carenet.encoding.ed25519 import is_admissible_key, is_valid_signature
from tests.support.data import SHARED, needs_shared

pytestmark = needs_shared


def read_cases(name: str, count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each case with its group; all of the file's `count` cases, or the test fails."""
    with gzip.open(SHARED / "vectors" / "wycheproof" / f"{name}_test.json.gz") as file:
        groups = json.load(file)["testGroups"]
    assert sum(len(group["tests"]) for group in groups) == count
    for group in groups:
        for case in group["tests"]:
            yield group, case


def unhex(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_ed25519_accepts_the_valid_and_refuses_the_invalid() -> None:
    results = set()
    wrong = []
    for group, case in read_cases("ed25519", 151):
        public = bytes.fromhex(group["publicKey"]["pk"])
        signature, message = unhex(case, "sig", "msg")
        results.add(case["result"])
        if is_valid_signature(public, signature, message) != (case["result"] == "valid"):
            wrong.append(case["tcId"])
        assert is_admissible_key(public)
    assert wrong == []
    assert results == {"valid", "invalid"}  # none is merely acceptable: there is nothing to decide


def test_aes_gcm_opens_the_valid_and_refuses_the_invalid() -> None:
    wrong = []
    for _, case in read_cases("aes_gcm", 316):
        key, nonce, aad, message, sealed, tag = unhex(case, "key", "iv", "aad", "msg", "ct", "tag")
        # The library takes nonces of 8 to 128 bytes and no others, valid or not; HPKE's have 12.
        is_usable = 8 <= len(nonce) <= 128
        try:
            opened = AESGCM(key).decrypt(nonce, sealed + tag, aad)
        except (InvalidTag, ValueError) as exc:
            if (case["result"] == "valid" and is_usable) or (isinstance(exc, ValueError) is is_usable):
                wrong.append(case["tcId"])
        else:
            is_same = opened == message and AESGCM(key).encrypt(nonce, message, aad) == sealed + tag
            if case["result"] != "valid" or not is_usable or not is_same:
                wrong.append(case["tcId"])
    assert wrong == []


def test_x25519_agrees_and_refuses_a_shared_secret_of_zeroes() -> None:
    wrong = []
    for _, case in read_cases("x25519", 518):
        private, public, shared = unhex(case, "private", "public", "shared")
        # Acceptable ones (points of the twist, non-canonical coordinates) are computed as RFC 7748 says; of them the
        # library refuses those of low order, whose secret anyone knows, as RFC 9180 section 7.1.4 wants.
        is_refused = "ZeroSharedSecret" in case["flags"]
        try:
            secret = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            if not is_refused:
                wrong.append(case["tcId"])
        else:
            if is_refused or secret != shared:
                wrong.append(case["tcId"])
    assert wrong == []


def test_ml_kem_768_agrees_and_refuses_other_lengths() -> None:
    wrong = []
    for _, case in read_cases("mlkem_768", 193):
        seed, ciphertext, shared = unhex(case, "seed", "c", "K")
        try:
            private = MLKEM768PrivateKey.from_seed_bytes(seed)
            secret = private.decapsulate(ciphertext)
        except ValueError:
            if case["result"] != "invalid":
                wrong.append(case["tcId"])
            continue
        if case["result"] != "valid" or secret != shared or private.public_key().public_bytes_raw().hex() != case["ek"]:
            wrong.append(case["tcId"])
    assert wrong == []


def test_hkdf_sha256_agrees_and_refuses_what_is_too_long() -> None:
    wrong = []
    for _, case in read_cases("hkdf_sha256", 86):
        secret, salt, info, output = unhex(case, "ikm", "salt", "info", "okm")
        try:
            derived = HKDF(SHA256(), case["size"], salt or None, info).derive(secret)
        except ValueError:
            if case["result"] != "invalid":
                wrong.append(case["tcId"])
        else:
            if case["result"] != "valid" or derived != output:
                wrong.append(case["tcId"])
    assert wrong == []
