"""`DIR/demo.json`: what one demo leaves for the next one in its folder: how many there were, and watchers' cursors.

It is a convenience and no truth: whoever loses it begins with the first story again and is pushed everything again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carenet.encoding.ids import encode_id
from carenet.errors import SetupError

VERSION = 1
_NAME = "demo.json"


@dataclass(frozen=True, slots=True)
class Notebook:
    """What is remembered.

    Attributes:
        runs: demos that were begun in this folder; each tells another story.
        cursors: by watcher, as text.
    """

    runs: int = 0
    cursors: Mapping[str, str] = field(default_factory=dict)


def read_notebook(directory: Path, network: bytes) -> Notebook:
    """What is remembered of a network; an empty one where there is nothing, or nothing that can be used."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        held: dict[str, Any] = json.loads((directory / _NAME).read_text(encoding="utf-8"))
        if held["version"] == VERSION and held["network"] == encode_id(network):
            cursors = {str(name): text for name, text in held["cursors"].items() if isinstance(text, str)}
            return Notebook(max(int(held["runs"]), 0), cursors)
    return Notebook()


def write_notebook(directory: Path, network: bytes, notebook: Notebook) -> None:
    """Put it in place whole.

    Raises:
        SetupError: the folder cannot be written.
    """
    path = directory / _NAME
    held = {
        "version": VERSION,
        "network": encode_id(network),
        "runs": notebook.runs,
        "cursors": dict(notebook.cursors),
    }
    draft = path.with_name(f".{_NAME}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(held), encoding="utf-8")
        draft.replace(path)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc
