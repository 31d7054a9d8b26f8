from __future__ import annotations

from pathlib import Path

import pytest

from carenet.demo.cast import CAST, gather_identities, missing_roles
from carenet.errors import SetupError

NETWORK = b"n" * 32


def test_keys_are_made_once_and_found_again(tmp_path: Path) -> None:
    made = gather_identities(tmp_path, NETWORK, None)
    assert gather_identities(tmp_path, NETWORK, None) == made
    assert set(made) == {"authority", *(role.name for role in CAST)}


def test_a_key_of_another_network_is_not_used(tmp_path: Path) -> None:
    gather_identities(tmp_path, NETWORK, None)
    with pytest.raises(SetupError, match="another network"):
        gather_identities(tmp_path, b"m" * 32, None)


def test_whoever_is_admitted_is_not_admitted_again_and_the_house_comes_before_its_members(tmp_path: Path) -> None:
    identities = gather_identities(tmp_path, NETWORK, None)
    assert [role.name for role in missing_roles(identities, ())][:3] == ["hospital", "dr-lee", "dr-okafor"]
    known = [identities["hospital"].id, identities["lab"].id]
    names = [role.name for role in missing_roles(identities, known)]
    assert names == ["dr-lee", "dr-okafor", "pharmacy", "er"]
