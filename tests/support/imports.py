"""Who imports whom, read from the source by ast, held against the arrows of the design.

Every import counts, wherever it stands: inside a function or for typing only it is an arrow all the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A room may import rooms of earlier steps, and none of its own step.
STEPS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("encoding",),
    ("ledger",),
    ("statements",),
    ("rules", "sealing"),
    ("bus", "store", "fhir"),
    ("node", "audit", "gateway", "client"),
    ("streams", "edge", "local"),
    ("demo", "bench"),
    ("cli",),
    ("root",),  # carenet/__init__.py with its lazy `connect`, and __main__.py
)
PURE = ("errors", "encoding", "ledger", "statements", "rules")
SERVERS = ("rules", "bus", "store", "node", "gateway")  # none of them may be able to open anything
_STEP_OF = {room: step for step, rooms in enumerate(STEPS) for room in rooms}
_BESIDE = ("settings", "logs")  # not rooms: every room from `bus` on may import them
_BESIDE_FROM = _STEP_OF["bus"]

IMPURE_MODULES = frozenset({"asyncio", "socket", "time", "random", "secrets", "os"})
IO_LIBRARIES = frozenset({"aiokafka", "asyncpg", "websockets", "faust", "aiohttp", "httpx", "requests"})


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target.

    Args:
        importer: dotted name of the module that imports.
        target: dotted name of what it imports; `from a import b` counts as `a.b`.
        line: line number.
    """

    importer: str
    target: str
    line: int


def module_name(root: Path, path: Path) -> str:
    """The dotted name of a source file below `root`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(root: Path, path: Path) -> Iterator[Import]:
    """Every import of one file."""
    name = module_name(root, path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            for alias in node.names:
                yield Import(name, f"{base}.{alias.name}", node.lineno)


def all_imports(root: Path) -> list[Import]:
    """Every import of the packages carenet and streams below `root`."""
    files = sorted([*(root / "carenet").rglob("*.py"), *(root / "streams").rglob("*.py")])
    return [found for path in files for found in imports_of(root, path)]


def room_of(module: str) -> str | None:
    """The room of a dotted name; None outside carenet and streams.

    `from carenet import connect` names no room, and counts as the root.
    """
    parts = module.split(".")
    if parts[0] == "streams":
        return "streams"
    if parts[0] != "carenet":
        return None
    if len(parts) > 1 and (parts[1] in _STEP_OF or parts[1] in _BESIDE):
        return parts[1]
    return "root"


def unknown_rooms(root: Path) -> list[str]:
    """Folders and files right under carenet/ that the design does not name."""
    known = {*_STEP_OF, *_BESIDE, "__init__", "__main__"} - {"streams", "root"}
    entries = [path for path in (root / "carenet").iterdir() if path.suffix == ".py" or any(path.glob("*.py"))]
    return sorted(path.name for path in entries if path.stem not in known)


def wrong_arrows(imports: list[Import]) -> list[str]:
    """Imports that point to a later step, or to another room of the same step."""
    wrong = []
    for found in imports:
        source, target = room_of(found.importer), room_of(found.target)
        if source is None or target is None or source == target:
            continue
        if target in _BESIDE:
            allowed = _STEP_OF[source] >= _BESIDE_FROM
        elif source in _BESIDE:
            allowed = target == "errors"
        else:
            allowed = _STEP_OF[target] < _STEP_OF[source]
        if not allowed:
            wrong.append(f"{found.importer}:{found.line} ({source}) imports {found.target} ({target})")
    return wrong


def module_graph(root: Path, imports: list[Import]) -> dict[str, set[str]]:
    """Module → modules of ours that it imports."""
    files = [*(root / "carenet").rglob("*.py"), *(root / "streams").rglob("*.py")]
    graph: dict[str, set[str]] = {module_name(root, path): set() for path in files}
    for found in imports:
        # `from a import b` is the module a.b if there is one, else a name in a.
        target = found.target if found.target in graph else found.target.rpartition(".")[0]
        if target in graph and target != found.importer:
            graph[found.importer].add(target)
    return graph


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """One cycle of modules, its first one repeated at the end; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if cycle := visit(target, [*trail, module]):
                return cycle
        done.add(module)
        return []

    return next((cycle for module in sorted(graph) if (cycle := visit(module, []))), [])


def reachable(graph: Mapping[str, set[str]], room: str) -> set[str]:
    """Every module that the modules of a room import, directly or through others."""
    todo = [module for module in graph if room_of(module) == room]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo.extend(graph[module])
    return seen
