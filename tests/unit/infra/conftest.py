"""What the tests of the files for containers share: the files read, and their variables filled in."""

from __future__ import annotations

import re
import runpy
from functools import cache
from typing import Any

import yaml

from tests.support.data import ROOT

INFRA = ROOT / "infra"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")


def read_yaml(path: str) -> Any:
    """A YAML file, by its path in the repository."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@cache
def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml, merged as YAML says."""
    found: dict[str, dict[str, Any]] = read_yaml("docker-compose.yml")["services"]
    return found


@cache
def new_environment() -> dict[str, str]:
    """The variables that infra/new_env.py prints."""
    lines = runpy.run_path(str(INFRA / "new_env.py"))["lines"]()
    return dict(line.split("=", 1) for line in lines)


def variables(text: str) -> list[tuple[str, str | None, str | None]]:
    """The variables in a text: name, `?` (needed) or `-` (has a default) or nothing, and what follows that."""
    return [(found["name"], found["kind"], found["rest"]) for found in _VARIABLE.finditer(text)]


def environment(service: str) -> dict[str, str]:
    """A service's variables as compose would set them after infra/new_env.py.

    Raises:
        KeyError: one is needed and nobody gives it.
    """

    def fill(found: re.Match[str]) -> str:
        if found["kind"] == "-":
            return new_environment().get(found["name"], found["rest"])
        return new_environment()[found["name"]]

    given = services()[service].get("environment", {})
    return {name: _VARIABLE.sub(fill, str(value)) for name, value in given.items()}
