from __future__ import annotations

import inspect
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from click import Command, Group

from carenet.cli.main import app, describe, exit_code, find_error, main
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import CorruptionError, NotFoundError, RefusedError, SetupError, TransportError
from tests.support.data import ROOT


def _commands(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something, as the words that call it."""
    if isinstance(command, Group) or hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))
    else:
        yield path


COMMANDS = list(_commands(typer.main.get_command(app)))


def _run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a network."""
    for name in ("CARENET_DIR", "CARENET_POSTGRES", "CARENET_GATEWAY", "CARENET_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    assert _run("network", "init", "riverside", "--partitions", "2", "--dir", str(tmp_path)) == 0
    return tmp_path


def test_the_commands_of_the_issue_are_there() -> None:
    wanted = "network init|network show|participant create|participant admit|participant suspend|participant rotate|"
    wanted += "participant list|patient register|patient list|grant give|grant withdraw|grant list|publish|watch|"
    wanted += "timeline|rejections list|rejections show|verify"
    assert {tuple(each.split()) for each in wanted.split("|")} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_paragraphs_of_every_help_are_wrapped_by_the_terminal_alone(command: tuple[str, ...]) -> None:
    node = typer.main.get_command(app)
    for word in command:
        node = node.commands[word]
    first, *later = inspect.cleandoc(node.help).split("\n\n")
    assert first
    assert not [each for each in later if "\n" in each], "rich keeps the line breaks of all but the first"


def test_the_version_is_told() -> None:
    assert _run("--version") == 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_and_the_exit_codes(command: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    assert _run(*command, "--help") == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"Example: carenet {' '.join(command)}" in words
    assert "Exit codes: " in words


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_example_is_a_line_that_the_parser_takes(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = typer.main.get_command(app)
    for word in command:
        found = found.commands[word]
    examples = [line for line in (found.epilog or "").split("\n\n") if line.startswith("Example: ")]
    for example in examples:
        words = example.partition("carenet ")[2].split()[len(command) :]
        for folder in (word for word in words if word.endswith("/")):
            Path(folder).mkdir(exist_ok=True)
        found.make_context("carenet", words)


def test_an_unknown_option_is_wrong_usage(capsys: pytest.CaptureFixture) -> None:
    assert _run("verify", "--nonsense") == 2
    assert "--nonsense" in capsys.readouterr().err


def test_an_error_is_one_line_that_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert _run("network", "show", "--dir", str(tmp_path)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("carenet: ")
    assert "carenet network init" in said.err


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path: Path) -> None:
    for words in (("--debug", "network", "show"), ("network", "show", "--debug")):
        with pytest.raises(SetupError):
            main([*words, "--dir", str(tmp_path)])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("no_grant", "x"), 1),
        (CorruptionError("x"), 1),
        (NotFoundError("x"), 2),
        (SetupError("x"), 2),
        (TransportError("x"), 2),
    ],
)
def test_refused_and_broken_are_1_and_what_could_not_be_done_is_2(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_out_of_a_task_group_is_ours_only_if_all_are() -> None:
    refused, away = RefusedError("no_grant"), TransportError("x")
    assert find_error(away) is away
    assert find_error(ExceptionGroup("tasks", [ExceptionGroup("more", [refused]), away])) is refused
    assert find_error(ExceptionGroup("tasks", [refused, ValueError("a bug")])) is None


def test_a_refusal_is_told_with_its_reason_and_what_to_do() -> None:
    said = describe(RefusedError("no_grant", "no active grant\nto write"))
    assert said == "refused: no_grant: no active grant to write (ask a custodian: carenet grant give)"


def test_a_founded_network_is_shown(directory: Path, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert _run("network", "show", "--dir", str(directory), "--json") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    shown = json.loads(out)
    assert (shown["name"], shown["partitions"], shown["quorum"]) == ("riverside", 2, 1)
    assert [each["name"] for each in shown["authorities"]] == ["authority"]
    assert _run("network", "show", "--dir", str(directory)) == 0
    assert shown["network"] in capsys.readouterr().out


def test_a_network_is_not_founded_twice(directory: Path, capsys: pytest.CaptureFixture) -> None:
    assert _run("network", "init", "--dir", str(directory)) == 2
    assert "has a network already" in capsys.readouterr().err


def test_the_folder_may_come_from_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARENET_DIR", str(directory))
    assert _run("network", "show") == 0


def test_a_key_is_made_once_and_for_the_network(directory: Path, capsys: pytest.CaptureFixture) -> None:
    create = ("participant", "create", "dr-lee", "--dir", str(directory))
    capsys.readouterr()
    assert _run(*create, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert Path(made["file"]).stat().st_mode & 0o077 == 0
    assert len(made["id"]) == 43
    assert _run(*create) == 2
    assert "not overwritten" in capsys.readouterr().err


def test_a_key_needs_a_name_and_a_network(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert _run("participant", "create", "Dr. Lee", "--dir", str(directory)) == 2
    assert "is no name" in capsys.readouterr().err
    assert _run("participant", "create", "dr-lee", "--dir", str(tmp_path / "elsewhere")) == 2
    assert "carenet network init" in capsys.readouterr().err


NEED_A_STACK = [
    ("participant", "list"),
    ("participant", "suspend", "dr-lee"),
    ("patient", "register", "ada", "--as", "authority"),
    ("patient", "list", "--as", "authority"),
    ("grant", "list", "--patient", "ada", "--as", "authority"),
    ("watch", "--as", "authority"),
    ("timeline", "ada", "--as", "authority"),
    ("rejections", "list"),
    ("verify",),
]


@pytest.mark.parametrize("words", NEED_A_STACK, ids=" ".join)
def test_without_a_stack_a_command_says_how_to_start_one(
    directory: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    capsys.readouterr()
    assert _run(*words, "--dir", str(directory)) == 2
    assert "carenet up" in capsys.readouterr().err


def test_an_identity_that_is_not_there_names_those_that_are(directory: Path, capsys: pytest.CaptureFixture) -> None:
    assert _run("patient", "list", "--as", "nobody", "--dir", str(directory)) == 2
    assert "there are: authority" in capsys.readouterr().err


WRONG = [
    ("watch", "--as", "authority", "--patient", "ada", "--all"),
    ("verify", "ada", "--all"),
    ("grant", "give", "x", "--patient", "ada", "--as", "authority", "--actions", "delete"),
    ("grant", "give", "x", "--patient", "ada", "--as", "authority", "--actions", ""),
    ("patient", "register", "ada", "--as", "authority", "--grant", "dr-lee:delete"),
    ("rejections", "list", "--reason", "bad_mood"),
    ("rejections", "list", "--limit", "0"),
    ("network", "init", "--partitions", "0"),
    ("timeline", "ada", "--as", "authority", "--at", "noon"),
    ("publish", "--as", "authority", "--patient", "ada"),
    ("patient", "register", "Ada Lovelace", "--as", "authority"),
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_is_refused_before_anything_is_asked(
    directory: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture
) -> None:
    capsys.readouterr()
    assert _run(*words, "--dir", str(directory)) == 2
    assert "carenet up" not in capsys.readouterr().err


def test_a_file_that_is_no_fhir_is_refused_before_anything_is_asked(
    directory: Path, capsys: pytest.CaptureFixture
) -> None:
    path = directory / "notes.json"
    path.write_text("{", encoding="utf-8")
    capsys.readouterr()
    assert _run("publish", "--as", "authority", "--patient", "ada", str(path), "--dir", str(directory)) == 2
    said = capsys.readouterr().err
    assert "notes.json" in said
    assert "carenet up" not in said


def test_a_cursor_that_is_none_is_refused(directory: Path, capsys: pytest.CaptureFixture) -> None:
    assert _run("watch", "--as", "authority", "--since", "yesterday", "--dir", str(directory)) == 2
    assert "--since" in capsys.readouterr().err


def _children_cpu_s() -> float:
    """CPU seconds of the processes that ended: what a command costs, however busy the machine is."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_comes_at_once_and_loads_no_heavy_room() -> None:
    code = "import sys; from carenet.cli.main import app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = {"asyncpg", "aiokafka", "websockets", "cryptography", "pydantic", "faust", "carenet.client.care"}
    assert heavy.isdisjoint(loaded.split())
    took = []
    for _ in range(3):
        before = _children_cpu_s()
        program = "from carenet.cli.main import main; main(['--help'])"
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
        took.append(_children_cpu_s() - before)
    assert min(took) > 0.01, "the children's time was not measured"
    assert min(took) < 0.5 * float(os.environ.get("CARENET_TEST_STRETCH", "1"))


def test_the_shell_completes_keys_and_patients(directory: Path) -> None:
    patients = {"version": 1, "network": encode_id(sha256(b"any")), "patients": {"ada": encode_id(sha256(b"ada"))}}
    (directory / "patients.json").write_text(json.dumps(patients), encoding="utf-8")

    def complete(*words: str) -> list[str]:
        line = ["carenet", *words]
        asked = {"_CARENET_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(line), "COMP_CWORD": str(len(line) - 1)}
        environment = os.environ | asked | {"CARENET_DIR": str(directory)}
        program = "from carenet.cli.main import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("publish", "--as", "auth") == ["authority"]
    assert complete("publish", "--patient", "a") == ["ada"]
    assert "publish" in complete("pub")
