from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.encoding import cose
from carenet.encoding.ed25519 import SigningKey, is_valid_signature
from carenet.errors import KeyFileError, SealError
from carenet.sealing import hpke
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import create_identity
from carenet.sealing.wraps import wrap

NETWORK, SUBJECT = bytes([1]) * 32, bytes([2]) * 32
ALICE = create_identity("alice", NETWORK, 1)


def test_an_identity_is_named_by_its_first_signing_key():
    assert ALICE.id == ALICE.kid == cose.compute_thumbprint(SigningKey(ALICE.seeds[0]).public)
    assert is_valid_signature(ALICE.sign_key.public, ALICE.sign_key.sign(b"x"), b"x")
    assert create_identity("alice", NETWORK, 1).id != ALICE.id


def test_rotation_keeps_the_id_and_changes_the_keys():
    rotated = ALICE.rotated()
    assert (rotated.id, rotated.tag_secret) == (ALICE.id, ALICE.tag_secret)
    assert rotated.kid != ALICE.kid
    assert rotated.hpke_public != ALICE.hpke_public
    earlier = rotated.earlier()
    assert earlier is not None
    assert earlier.kid == ALICE.kid
    assert ALICE.earlier() is None


def test_a_rotated_identity_opens_what_was_wrapped_to_its_earlier_key():
    epoch, rotated = EpochKeys.generate(), ALICE.rotated()
    for public in (ALICE.hpke_public, rotated.hpke_public):
        wrapped = wrap(NETWORK, SUBJECT, ALICE.id, public, [epoch.private])
        assert rotated.open_wrap(SUBJECT, wrapped, (epoch.id,)) == {epoch.id: epoch.private}


def test_a_wrap_for_somebody_else_or_with_another_epochs_key_is_refused():
    epoch, other = EpochKeys.generate(), create_identity("bob", NETWORK, 1)
    wrapped = wrap(NETWORK, SUBJECT, ALICE.id, ALICE.hpke_public, [epoch.private])
    with pytest.raises(SealError, match="none of 1"):
        other.open_wrap(SUBJECT, wrapped, (epoch.id,))
    with pytest.raises(SealError, match="not that of the epoch"):
        ALICE.open_wrap(SUBJECT, wrapped, (EpochKeys.generate().id,))


def test_an_identity_never_shows_its_secrets():
    shown = repr(ALICE) + repr(ALICE.sign_key)
    for secret in (*ALICE.seeds, *ALICE.hpke_private, ALICE.tag_secret):
        assert secret.hex() not in shown
        assert repr(secret)[2:12] not in shown


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Al Ice"},
        {"network": b""},
        {"id": bytes(32)},
        {"seeds": ()},
        {"seeds": (b"short",)},
        {"hpke_private": ()},
        {"hpke_private": (bytes(95),)},
        {"tag_secret": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_identity_whose_parts_do_not_fit_is_refused(change: dict[str, object]):
    with pytest.raises(KeyFileError):
        replace(ALICE, **change)


def test_the_hpke_public_key_is_that_of_the_last_private_one():
    assert ALICE.hpke_public == hpke.compute_public_key(ALICE.hpke_private[-1])
