"""Founding a network: its genesis file, the authority's key and the first node's keys, made once in a state folder.

The genesis is written last, so that a folder with a `network.cbor` has its keys too; nothing is ever overwritten.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from pathlib import Path

from carenet.encoding.ids import is_name
from carenet.errors import EncodingError, SetupError, StatementError
from carenet.node.identity import create_node_keys, save_node_keys
from carenet.sealing.identity import create_identity
from carenet.sealing.keyfile import save_identity
from carenet.statements.genesis import FORMAT, MAX_PARTITIONS, AuthorityKey, Genesis, NodeKey, parse_genesis

GENESIS_FILE = "network.cbor"
AUTHORITY = "authority"
NODE_FILE = "node.key"
NODE = "node"
TOPIC = "carenet.events"

_SNAPSHOT_EVERY = 100_000  # entries: a newcomer folds at most that many beyond a snapshot, under a minute's work
_NO_NETWORK = bytes(32)


def found_network(
    directory: Path, name: str, partitions: int = 8, *, topic: str = TOPIC, passphrase: str | None = None
) -> Genesis:
    """Make a network of one authority and one node.

    Args:
        directory: the state folder; made if it is not there.
        name: what people call the network.
        partitions: of its topic, 1..1024; never changes.
        topic: the Kafka topic of its events.
        passphrase: encrypts the key files; None leaves them to the file mode.

    Raises:
        SetupError: the folder has a network or keys of one, or cannot be written; or a name or number is out of range.
        KeyFileError: a key file cannot be written.
    """
    _check(directory, name, partitions, topic)
    # The network's id is the hash of a file that names these keys, so the identity learns its network last.
    authority = create_identity(AUTHORITY, _NO_NETWORK, time.time_ns() // 1_000_000)
    node = create_node_keys()
    genesis = Genesis(
        format=FORMAT,
        name=name,
        salt=secrets.token_bytes(16),
        authorities=(AuthorityKey(AUTHORITY, authority.sign_key.public),),
        threshold=1,
        nodes=(NodeKey(NODE, node.sign_public, node.mldsa_public),),
        quorum=1,
        topic=topic,
        partitions=partitions,
        snapshot_every=_SNAPSHOT_EVERY,
        retention_days=0,
        rulebook=1,
    )
    encoded = parse_genesis(genesis.encode()).encode()
    save_identity(replace(authority, network=genesis.network_id), _authority_file(directory), passphrase)
    save_node_keys(node, directory / NODE_FILE, passphrase)
    _write_once(directory / GENESIS_FILE, encoded)
    return genesis


def read_genesis(directory: Path) -> Genesis:
    """The genesis of the network that was founded in a folder.

    Raises:
        SetupError: there is none, or it cannot be read, or it is not a genesis file.
    """
    path = directory / GENESIS_FILE
    try:
        return parse_genesis(path.read_bytes())
    except FileNotFoundError as exc:
        raise SetupError(f"{path} is not there: found a network with carenet network init --dir {directory}") from exc
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc
    except (EncodingError, StatementError) as exc:
        raise SetupError(f"{path} is not a genesis file: {exc}") from exc


def _authority_file(directory: Path) -> Path:
    return directory / "keys" / f"{AUTHORITY}.key"


def _check(directory: Path, name: str, partitions: int, topic: str) -> None:
    if not is_name(name) or not is_name(topic):
        raise SetupError("a network's name and topic are up to 64 of the characters a-z 0-9 . _ -")
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise SetupError(f"a network has 1 to {MAX_PARTITIONS} partitions")
    if (directory / GENESIS_FILE).exists():
        raise SetupError(f"{directory} has a network already: name another folder with --dir, or go on with this one")
    for path in (_authority_file(directory), directory / NODE_FILE):
        if path.exists():
            raise SetupError(f"{path} is there, but no {GENESIS_FILE}: move it away if no network needs it any more")


def _write_once(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # fails where the name is taken, unlike a rename
    except FileExistsError as exc:
        raise SetupError(f"{path} was made meanwhile: another network was founded here") from exc
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc
    finally:
        draft.unlink(missing_ok=True)
