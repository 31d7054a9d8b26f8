from __future__ import annotations

from pathlib import Path

import pytest

from carenet.errors import KeyFileError, SetupError
from carenet.local.founding import found_network, read_genesis
from carenet.node.identity import load_node_keys
from carenet.sealing.keyfile import load_identity


def test_a_founded_network_names_the_keys_beside_it(tmp_path: Path) -> None:
    genesis = found_network(tmp_path, "riverside", 4)
    assert read_genesis(tmp_path) == genesis
    assert (genesis.name, genesis.partitions, genesis.topic) == ("riverside", 4, "carenet.events")
    authority = load_identity(tmp_path / "keys" / "authority.key")
    assert authority.network == genesis.network_id
    assert [each.id for each in genesis.authorities] == [authority.id]
    node = load_node_keys(tmp_path / "node.key").find_in(genesis)
    assert node.name == "node"


def test_the_folder_is_made_and_keys_are_private(tmp_path: Path) -> None:
    found_network(tmp_path / "new" / "state", "riverside")
    for name in ("keys/authority.key", "node.key"):
        assert (tmp_path / "new" / "state" / name).stat().st_mode & 0o077 == 0


def test_a_passphrase_encrypts_both_key_files(tmp_path: Path) -> None:
    found_network(tmp_path, "riverside", passphrase="correct horse")
    with pytest.raises(KeyFileError, match="CARENET_PASSPHRASE"):
        load_identity(tmp_path / "keys" / "authority.key")
    with pytest.raises(KeyFileError, match="CARENET_PASSPHRASE"):
        load_node_keys(tmp_path / "node.key")
    load_identity(tmp_path / "keys" / "authority.key", "correct horse")


def test_two_networks_of_one_name_differ(tmp_path: Path) -> None:
    one, other = (found_network(tmp_path / place, "riverside") for place in ("one", "other"))
    assert one.network_id != other.network_id


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    genesis = found_network(tmp_path, "riverside")
    with pytest.raises(SetupError, match="has a network already"):
        found_network(tmp_path, "other")
    assert read_genesis(tmp_path) == genesis


@pytest.mark.parametrize("left", ["keys/authority.key", "node.key"])
def test_keys_without_a_network_are_left_alone(tmp_path: Path, left: str) -> None:
    path = tmp_path / left
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    with pytest.raises(SetupError, match="move it away"):
        found_network(tmp_path, "riverside")
    assert path.read_bytes() == b"precious"
    assert not (tmp_path / "network.cbor").exists()


def test_a_folder_with_other_files_is_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    found_network(tmp_path, "riverside")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("name", "partitions"), [("River Side", 8), ("", 8), ("riverside", 0), ("riverside", 1025)])
def test_a_name_or_number_out_of_range_is_refused(tmp_path: Path, name: str, partitions: int) -> None:
    with pytest.raises(SetupError):
        found_network(tmp_path, name, partitions)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="carenet network init"):
        read_genesis(tmp_path)


def test_a_damaged_genesis_is_said_to_be_damaged(tmp_path: Path) -> None:
    found_network(tmp_path, "riverside")
    (tmp_path / "network.cbor").write_bytes(b"\xa0")
    with pytest.raises(SetupError, match="not a genesis file"):
        read_genesis(tmp_path)
