from __future__ import annotations

import os
from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.local.dirlock import is_locked, lock_directory
from carenet.local.runfile import RunFile, read_run_file, remove_run_file, write_run_file

_METRICS = {"worker": "http://127.0.0.1:3/metrics"}
_RUN = RunFile(7, "127.0.0.1:1", "postgresql://carenet:secret@127.0.0.1:2/carenet", None, {"kafka": 8}, _METRICS)


def test_what_was_written_is_read_while_the_folder_is_locked(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        assert read_run_file(tmp_path) is None
        write_run_file(tmp_path, _RUN)
        write_run_file(tmp_path, _RUN)
        assert read_run_file(tmp_path) == _RUN
        assert sorted(path.name for path in tmp_path.iterdir()) == ["carenet.lock", "run.json"]
        remove_run_file(tmp_path)
        assert read_run_file(tmp_path) is None


def test_what_a_killed_stack_left_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    write_run_file(tmp_path, _RUN)
    assert read_run_file(tmp_path) is None


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    write_run_file(tmp_path, _RUN)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600


def test_its_description_holds_no_password() -> None:
    assert "secret" not in repr(_RUN)


def test_garbage_and_another_version_are_refused(tmp_path: Path) -> None:
    with lock_directory(tmp_path):
        for garbage in ("", "[]", "{}", '{"version": 1}', '{"version": 2}', '{"version": 1, "extra": 1}'):
            (tmp_path / "run.json").write_text(garbage)
            with pytest.raises(SetupError, match="restart the stack"):
                read_run_file(tmp_path)


def test_two_in_one_folder_are_refused_and_the_first_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with lock_directory(folder):
        assert is_locked(folder)
        with pytest.raises(SetupError, match=f"process {os.getpid()}"), lock_directory(folder):
            pass
        assert is_locked(folder), "a refusal must not take the lock away"
    assert not is_locked(folder)
    with lock_directory(folder):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be used"), lock_directory(tmp_path / "file" / "x"):
        pass
