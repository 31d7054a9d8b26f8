from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from carenet.local.checkup import Check, Verdict, check_machine
from carenet.local.dirlock import lock_directory
from carenet.local.founding import found_network
from carenet.local.packages import pinned_jars


def _checks(directory: Path, cache: Path | None = None) -> dict[str, Check]:
    found = check_machine(directory, cache or directory / "cache", own_servers=cache is not None)
    return {check.name: check for check in found}


def test_a_new_folder_on_a_sound_machine_fails_nothing(tmp_path: Path) -> None:
    found = _checks(tmp_path / "not" / "made", tmp_path / "cache")
    assert [check for check in found.values() if check.verdict is Verdict.FAIL] == []
    assert found["kafka jars"].verdict is Verdict.WARN
    assert "not fetched yet" in found["kafka jars"].found
    assert not (tmp_path / "not").exists(), "the doctor changes nothing"


def test_what_is_not_well_says_what_to_do(tmp_path: Path) -> None:
    found = _checks(tmp_path, tmp_path / "cache")
    assert all(check.advice for check in found.values() if check.verdict is not Verdict.OK)


def test_an_old_python_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert _checks(tmp_path)["python"] == Check("python", Verdict.FAIL, "3.10.4", "carenet needs Python 3.11 or newer")


def test_a_cache_with_some_jars_missing_or_altered_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carenet.local.checkup.broken_jars", lambda _: [pinned_jars()[0].name])
    check = _checks(tmp_path, tmp_path)["kafka jars"]
    assert check.verdict is Verdict.WARN
    assert f"1 of {len(pinned_jars())} are missing or altered, e.g. {pinned_jars()[0].name}" in check.found


def test_key_files_that_others_can_read_are_named(tmp_path: Path) -> None:
    found_network(tmp_path, "carenet", 1)
    assert _checks(tmp_path)["key files"].verdict is Verdict.OK
    (tmp_path / "keys" / "authority.key").chmod(0o640)
    check = _checks(tmp_path)["key files"]
    assert (check.verdict, "authority.key" in check.found, "chmod 600" in check.advice) == (Verdict.FAIL, True, True)


def test_a_genesis_that_was_changed_is_found(tmp_path: Path) -> None:
    found_network(tmp_path, "carenet", 3)
    assert "3 partitions" in _checks(tmp_path)["network"].found
    (tmp_path / "network.cbor").write_bytes(b"\xa0")
    assert _checks(tmp_path)["network"].verdict is Verdict.FAIL


def test_a_file_where_the_folder_should_be_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert _checks(path)["folder"].verdict is Verdict.FAIL


def test_it_says_whether_something_runs_in_the_folder(tmp_path: Path) -> None:
    assert "nothing runs" in _checks(tmp_path)["folder"].found
    with lock_directory(tmp_path):
        assert "a stack runs" in _checks(tmp_path)["folder"].found


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 << 30, Verdict.OK), (1 << 30, Verdict.WARN), (1 << 20, Verdict.FAIL)]
)
def test_little_room_warns_and_none_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert _checks(tmp_path)["disk"].verdict is verdict


def test_a_clock_of_another_century_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert _checks(tmp_path)["clock"].verdict is Verdict.FAIL
