"""What the README tells people to type is there: its commands and their options, and Python that compiles."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main
from click import Command

from carenet.cli.main import app
from tests.support.data import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [line for _, block in BLOCKS for line in re.findall(r"^(?:  \| )?carenet (.*)$", block, re.MULTILINE)]


def _options(words: list[str]) -> tuple[Command, list[str]]:
    command: Command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command, [word for word in words if word.startswith("--")]


def test_there_is_something_to_type() -> None:
    assert len(LINES) > 4
    assert [language for language, _ in BLOCKS].count("python") == 1


@pytest.mark.parametrize("line", LINES)
def test_every_line_to_type_names_a_command_and_options_that_it_has(line: str) -> None:
    command, options = _options(shlex.split(line, comments=True))
    assert set(options) <= {name for each in command.params for name in each.opts}


def test_the_python_is_a_whole_script() -> None:
    (script,) = (block for language, block in BLOCKS if language == "python")
    compile(script, "README.md", "exec")
