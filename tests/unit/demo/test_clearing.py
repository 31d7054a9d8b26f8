from __future__ import annotations

from pathlib import Path

import pytest

from carenet.demo.clearing import clear_directory
from carenet.errors import SetupError
from carenet.local.dirlock import lock_directory

OURS = (
    "network.cbor", "node.key", "run.json", "gateway.port", "patients.json", "demo.json", "keys/hospital.key",
    "spool/dr-lee-abc.sqlite", "spool/dr-lee-abc.sqlite-wal", "kafka/server.properties", "kafka/data/meta.properties",
    "kafka/data/carenet.events-0/00.log", "kafka/tmp/libzstd.so", "postgres/data/PG_VERSION", "postgres/data/base/1",
    "postgres/password", "kafka.log", "kafka.log.1", "worker-2.log", "workers.ports", "gateway-2.log", "kafka-3.log.1",
    "kafka-cluster/cluster.json", "kafka-cluster/ports.json", "kafka-cluster/accounts/node.password",
    "kafka-cluster/2/server.properties", "kafka-cluster/2/format.log", "kafka-cluster/2/tmp/libzstd.so",
    "kafka-cluster/2/data/meta.properties", "kafka-cluster/2/data/carenet.events-0/00.log",
)  # fmt: skip
STRANGERS = ("notes.txt", "keys/readme.md", "kafka/thesis.tex", "spool/draft.txt", ".hidden/x", "worker.txt")


def _make(root: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


def _files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def test_everything_of_ours_goes_and_everything_of_strangers_stays(tmp_path: Path) -> None:
    _make(tmp_path, OURS + STRANGERS)
    clear_directory(tmp_path)
    assert _files(tmp_path) == {*STRANGERS, "carenet.lock"}
    assert not any((tmp_path / name).exists() for name in ("postgres", "kafka-cluster"))


def test_folders_of_our_names_that_we_did_not_make_are_left_alone(tmp_path: Path) -> None:
    strangers = ("postgres/data/thesis.tex", "kafka/data/novel.tex", "kafka/tmp/photo.jpg")
    _make(tmp_path, strangers)
    clear_directory(tmp_path)
    assert _files(tmp_path) == {*strangers, "carenet.lock"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "state"
    _make(elsewhere, ("hospital.key", "data/PG_VERSION"))
    folder.mkdir()
    (folder / "keys").symlink_to(elsewhere)
    (folder / "postgres").symlink_to(elsewhere)
    clear_directory(folder)
    assert _files(elsewhere) == {"hospital.key", "data/PG_VERSION"}


def test_a_folder_that_is_in_use_is_not_cleared(tmp_path: Path) -> None:
    _make(tmp_path, ("network.cbor",))
    with lock_directory(tmp_path), pytest.raises(SetupError, match="in use"):
        clear_directory(tmp_path)
    assert (tmp_path / "network.cbor").exists()


def test_a_folder_that_is_not_there_has_nothing_to_clear(tmp_path: Path) -> None:
    assert clear_directory(tmp_path / "new") == 0
    assert not (tmp_path / "new").exists()
