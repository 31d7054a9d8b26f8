from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import ROOT
from tests.support.imports import (
    IMPURE_MODULES,
    IO_LIBRARIES,
    PURE,
    SERVERS,
    STEPS,
    all_imports,
    find_cycle,
    imports_of,
    module_graph,
    module_name,
    reachable,
    room_of,
    unknown_rooms,
    wrong_arrows,
)

_IMPORTS = all_imports(ROOT)
_GRAPH = module_graph(ROOT, _IMPORTS)


def _modules(room: str) -> list[str]:
    return sorted(module for module in _GRAPH if room_of(module) == room)


def _loaded_after_importing(modules: list[str]) -> set[str]:
    code = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_room_is_one_that_the_design_names() -> None:
    assert unknown_rooms(ROOT) == []


def test_no_arrow_points_back_or_sideways() -> None:
    assert wrong_arrows(_IMPORTS) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert find_cycle(_GRAPH) == []


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_loads_no_io_library(room: str) -> None:
    if not _modules(room):
        pytest.skip("this room is not built yet")
    loaded = {name.partition(".")[0] for name in _loaded_after_importing(_modules(room))}
    assert "carenet" in loaded
    assert loaded & IO_LIBRARIES == set()


def test_no_file_of_a_pure_room_touches_clock_chance_or_system() -> None:
    pure = [found for found in _IMPORTS if room_of(found.importer) in PURE]
    assert pure
    assert [found for found in pure if found.target.partition(".")[0] in IMPURE_MODULES | IO_LIBRARIES] == []


@pytest.mark.parametrize("room", SERVERS)
def test_servers_cannot_open_anything(room: str) -> None:
    if not _modules(room):
        pytest.skip("this room is not built yet")
    assert [module for module in reachable(_GRAPH, room) if room_of(module) == "sealing"] == []
    loaded = _loaded_after_importing(_modules(room))
    assert [name for name in loaded if name.startswith("carenet.sealing")] == []


# The checker itself, on trees that it must refuse.


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"carenet/__init__.py": "", "streams/__init__.py": "", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("carenet/ledger/tree.py", "from carenet.rules.fold import fold"),
        ("carenet/ledger/tree.py", "import carenet.cli"),
        ("carenet/ledger/tree.py", "from carenet import node"),
        ("carenet/ledger/tree.py", "from ..store import pool"),
        ("carenet/ledger/tree.py", "def late():\n    from carenet.bus import topics"),
        ("carenet/ledger/tree.py", "from carenet import connect"),
        ("carenet/rules/fold.py", "from carenet.sealing.keys import Key"),
        ("carenet/rules/fold.py", "from carenet.settings import Settings"),
        ("carenet/settings.py", "from carenet.bus.topics import TOPIC"),
        ("carenet/node/worker.py", "from streams import app"),
        ("streams/app.py", "from carenet.local.kafka import EmbeddedKafka"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, importer: str, text: str) -> None:
    assert len(wrong_arrows(all_imports(_tree(tmp_path, {importer: text})))) == 1


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("carenet/bus/topics.py", "from carenet.settings import Settings\nfrom carenet.rules.reasons import Reason"),
        ("carenet/ledger/tree.py", "from . import hashes\nfrom .hashes import leaf\nimport hashlib"),
        ("streams/app.py", "from carenet.node.worker import Worker"),
        ("carenet/__init__.py", "def __getattr__(name):\n    from carenet.client import connect"),
    ],
)
def test_a_right_arrow_is_left_alone(tmp_path: Path, importer: str, text: str) -> None:
    assert wrong_arrows(all_imports(_tree(tmp_path, {importer: text}))) == []


def test_an_unknown_room_is_found(tmp_path: Path) -> None:
    files = {"carenet/utils/x.py": "", "carenet/common.py": "", "carenet/ledger/__init__.py": ""}
    assert unknown_rooms(_tree(tmp_path, files)) == ["common.py", "utils"]


def test_a_cycle_is_found(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "carenet/ledger/a.py": "from carenet.ledger.b import x",
            "carenet/ledger/b.py": "from carenet.ledger import c",
            "carenet/ledger/c.py": "import carenet.ledger.a",
        },
    )
    cycle = find_cycle(module_graph(root, all_imports(root)))
    assert cycle == ["carenet.ledger.a", "carenet.ledger.b", "carenet.ledger.c", "carenet.ledger.a"]


def test_a_way_to_sealing_through_another_room_is_found(tmp_path: Path) -> None:
    root = _tree(
        tmp_path,
        {
            "carenet/gateway/server.py": "from carenet.fhir import bundles",
            "carenet/fhir/bundles.py": "def f():\n    from carenet.sealing.keys import Key",
            "carenet/sealing/keys.py": "",
        },
    )
    assert "carenet.sealing.keys" in reachable(module_graph(root, all_imports(root)), "gateway")


def test_relative_imports_of_a_package_file_are_resolved(tmp_path: Path) -> None:
    root = _tree(tmp_path, {"carenet/ledger/__init__.py": "from . import tree\nfrom .. import cli"})
    path = root / "carenet" / "ledger" / "__init__.py"
    assert module_name(root, path) == "carenet.ledger"
    assert [found.target for found in imports_of(root, path)] == ["carenet.ledger.tree", "carenet.cli"]


def test_each_room_has_one_step() -> None:
    rooms = [room for step in STEPS for room in step]
    assert len(rooms) == len(set(rooms))
