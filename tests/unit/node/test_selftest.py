from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from carenet.errors import SetupError
from carenet.node import selftest
from carenet.node.selftest import check_signature_rule


def test_this_machines_library_judges_as_the_network_does() -> None:
    check_signature_rule()


def test_a_library_that_judges_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def openssl(public: bytes, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    monkeypatch.setattr(selftest, "is_valid_signature", openssl)
    with pytest.raises(SetupError, match="identity-key"):
        check_signature_rule()


def test_a_library_that_believes_everything_or_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (True, False):
        monkeypatch.setattr(selftest, "is_valid_signature", lambda *_, answer=answer: answer)
        with pytest.raises(SetupError):
            check_signature_rule()


@pytest.mark.parametrize(
    ("name", "blind", "case"),
    [
        ("is_root_signed", lambda *_: True, "batch-another-leaf"),
        ("is_root_signed", lambda *_: False, "batch-first"),
        ("compute_batch_root", lambda _, place: place.path[-1] if place.path else bytes(32), "batch-last"),
    ],
)
def test_a_build_that_judges_batches_otherwise_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, blind: Callable[..., Any], case: str
) -> None:
    monkeypatch.setattr(selftest, name, blind)
    with pytest.raises(SetupError, match=case):
        check_signature_rule()
