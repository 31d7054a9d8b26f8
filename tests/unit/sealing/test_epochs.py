from __future__ import annotations

import pytest

from carenet.errors import SealError
from carenet.sealing.epochs import EpochKeys, Keyring
from carenet.statements.keys import compute_epoch_id


def test_an_epoch_is_named_by_its_public_key():
    keys = EpochKeys.generate()
    assert keys.id == compute_epoch_id(keys.public)
    assert EpochKeys.of_private(keys.private) == keys


def test_an_epoch_never_shows_its_private_key():
    keys = EpochKeys.generate()
    assert repr(keys.private) not in repr(keys)
    assert keys.private.hex() not in repr(keys)


def test_a_keyring_gives_the_key_of_an_epoch_that_it_holds():
    keys, other = EpochKeys.generate(), EpochKeys.generate()
    ring = Keyring()
    ring.add({keys.id: keys.private})
    assert keys.id in ring
    assert ring.private(keys.id) == keys.private
    with pytest.raises(SealError, match="no key"):
        ring.private(other.id)
    assert repr(ring) == "<Keyring of 1 epochs>"


def test_a_keyring_takes_no_key_that_is_not_its_epochs():
    keys, other = EpochKeys.generate(), EpochKeys.generate()
    ring = Keyring()
    with pytest.raises(SealError):
        ring.add({other.id: other.private, keys.id: other.private})
    assert len(ring) == 0
