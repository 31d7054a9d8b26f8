"""`--reset`: remove what carenet keeps in a state folder, and nothing else that lies there.

Every name is spelled out; folders are taken apart down to what we made in them and removed only when they are empty
then, so that a stranger's file keeps its place. Links are removed, never followed. The folder's lock is held, so that
nothing is taken from under a stack that runs.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from carenet.errors import SetupError
from carenet.local.dirlock import lock_directory

_KAFKAS = ("kafka", *[f"kafka-cluster/{number}" for number in range(1, 10)])  # `kafka_cluster.MAX_BROKERS`
# Patterns of files, relative to the folder; the key files' folder and the spools' are emptied of theirs.
_FILES = (
    "network.cbor",
    "node.key",
    "run.json",
    "gateway.port",
    "gateways.ports",
    "workers.ports",
    "patients.json",
    ".patients.json.lock",
    "demo.json",
    "keys/*.key",
    "spool/*.sqlite",
    "spool/*.sqlite-wal",
    "spool/*.sqlite-shm",
    "spool/*.lock",
    "kafka/ports.json",
    "kafka/kafka.pid",
    "kafka-cluster/cluster.json",
    "kafka-cluster/ports.json",
    "kafka-cluster/accounts/*.password",
    *[f"{folder}/{name}" for folder in _KAFKAS for name in ("server.properties", "format.log")],
    "postgres/ports.json",
    "postgres/password",
)
_LOGS = ("kafka", "kafka-?", "postgres", "worker", "worker-*", "agents", "gateway", "gateway-*")
# Of each broker; libraries that Java unpacked into `tmp` do not say whose they are, but what lies beside it does.
_OF_KAFKA = (("data", "meta.properties"), ("tmp", "../server.properties"))
# Whole trees, each with the file inside or beside it that proves whose it is; what lies beside goes after them.
_TREES = {
    **{f"{folder}/{tree}": marker for folder in _KAFKAS for tree, marker in _OF_KAFKA},
    "postgres/data": "PG_VERSION",
    "postgres/data.new": "PG_VERSION",
}
_FOLDERS = (
    "keys",
    "spool",
    *_KAFKAS,
    "kafka-cluster/accounts",
    "kafka-cluster",
    "postgres",
)


def clear_directory(directory: Path) -> int:
    """Remove carenet's own files; the folder itself stays.

    Returns:
        How many files and trees were removed.

    Raises:
        SetupError: a stack runs in the folder, or something cannot be removed.
    """
    if not directory.exists():
        return 0
    with lock_directory(directory):
        try:
            return _clear(directory)
        except OSError as exc:
            raise SetupError(f"{exc.filename or directory} cannot be removed: {exc.strerror}") from exc


def _clear(directory: Path) -> int:
    removed = 0
    for name, marker in _TREES.items():
        tree = directory / name
        if _is_plain_folder(tree, directory) and (tree / marker).is_file():
            shutil.rmtree(tree)
            removed += 1
    logs = tuple(f"{name}.log{suffix}" for name in _LOGS for suffix in ("", ".1"))
    for pattern in _FILES + logs:
        for path in list(directory.glob(pattern)):
            if not path.is_dir() and _is_plain_folder(path.parent, directory):
                path.unlink()
                removed += 1
    for name in _FOLDERS:
        folder = directory / name
        if _is_plain_folder(folder, directory) and not any(folder.iterdir()):
            folder.rmdir()
    return removed


def _is_plain_folder(folder: Path, directory: Path) -> bool:
    """Whether it is a real folder reached from `directory` through no link."""
    between = [folder, *folder.parents[: len(folder.parts) - len(directory.parts) - 1]] if folder != directory else []
    return folder.is_dir() and not any(part.is_symlink() for part in between)
