"""infra/Dockerfile and .dockerignore against the tree."""

from __future__ import annotations

import re
import tomllib

from tests.support.data import ROOT
from tests.unit.infra.conftest import INFRA, services

DOCKERFILE = (INFRA / "Dockerfile").read_text(encoding="utf-8")
STAGES = re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
COPIED = [
    source
    for words in (line.split()[1:] for line in STAGES[0].splitlines() if line.startswith("COPY "))
    for source in words[:-1]
]


def test_what_is_copied_is_there_and_is_not_ignored() -> None:
    assert COPIED
    for source in COPIED:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED, source
    assert IGNORED[0] == "*", "what nobody named stays out: keys above all"


def test_everything_that_pip_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }
    assert needed <= set(COPIED)


def test_the_last_stage_takes_only_what_was_built_and_is_nobodys_root() -> None:
    last = STAGES[-1]
    copies = [line for line in last.splitlines() if line.startswith("COPY ")]
    assert copies == ["COPY --from=build /opt/carenet /opt/carenet"]
    assert "pip install" not in last
    (user,) = re.findall(r"(?m)^USER (\S+)$", last)
    assert {str(held["user"]) for held in services().values() if held["image"].startswith("carenet:")} == {user}
    assert user.split(":")[0] not in {"0", "root"}


def test_it_is_built_on_the_oldest_python_that_carenet_runs_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    oldest = project["project"]["requires-python"].removeprefix(">=")
    assert {stage.split()[1] for stage in STAGES} == {f"python:{oldest}-slim"}


def test_compose_builds_this_file_and_names_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = [held for held in services().values() if "build" in held]
    assert {held["build"]["dockerfile"] for held in built} == {"infra/Dockerfile"}
    assert {held["image"] for held in built} == {f"carenet:{project['project']['version']}"}
