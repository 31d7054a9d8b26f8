from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from carenet.errors import KeyFileError
from carenet.node.identity import (
    NodeKeys,
    create_node_keys,
    decode_node_keys,
    encode_node_keys,
    load_node_keys,
    save_node_keys,
)
from carenet.statements import keys as public_keys
from carenet.statements.genesis import NodeKey
from tests.support.chronicle import genesis_of

KEYS = NodeKeys(b"\1" * 32, b"\2" * 32)


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_what_was_saved_is_loaded(tmp_path: Path, passphrase: str | None) -> None:
    path = tmp_path / "deep" / "node.key"
    save_node_keys(KEYS, path, passphrase)
    assert load_node_keys(path, passphrase) == KEYS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["node.key"]


def test_the_public_keys_are_those_of_a_genesis() -> None:
    keys = create_node_keys()
    assert keys != create_node_keys()
    assert (len(keys.sign_public), len(keys.mldsa_public)) == (32, public_keys.MLDSA44_BYTES)
    genesis = genesis_of("t", 1)
    node = NodeKey("node", keys.sign_public, keys.mldsa_public)
    assert keys.find_in(replace(genesis, nodes=(node,))) == node
    assert node.id == keys.id
    with pytest.raises(KeyFileError, match="another network"):
        keys.find_in(genesis)


def test_a_key_file_is_not_overwritten(tmp_path: Path) -> None:
    save_node_keys(KEYS, tmp_path / "node.key")
    with pytest.raises(KeyFileError, match="exists"):
        save_node_keys(create_node_keys(), tmp_path / "node.key")
    assert load_node_keys(tmp_path / "node.key") == KEYS


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    save_node_keys(KEYS, tmp_path / "node.key")
    (tmp_path / "node.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_node_keys(tmp_path / "node.key")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"node\.key cannot be read"):
        load_node_keys(tmp_path / "node.key")


def test_an_encrypted_file_wants_its_passphrase() -> None:
    data = encode_node_keys(KEYS, "right")
    assert KEYS.sign_seed not in data
    with pytest.raises(KeyFileError, match="CARENET_PASSPHRASE"):
        decode_node_keys(data, None)
    with pytest.raises(KeyFileError, match="passphrase"):
        decode_node_keys(data, "wrong")


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_a_cut_or_changed_file_is_refused(passphrase: str | None) -> None:
    data = encode_node_keys(KEYS, passphrase)
    places = [0, 24, 30, 60, len(data) - 1]
    broken = [data[:-1], data + b"\0", b"", *(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :] for at in places)]
    for each in broken:
        with pytest.raises(KeyFileError):
            decode_node_keys(each, passphrase)


def test_secrets_do_not_show() -> None:
    assert "01" not in repr(KEYS)
