from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carenet.cli import folder
from carenet.cli.names import Named
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, NotFoundError, SetupError

NETWORK = sha256(b"network")
ADA, BOB = (Named(name, sha256(name.encode())) for name in ("ada", "bob"))


def _make_keys(directory: Path, *names: str) -> None:
    (directory / "keys").mkdir()
    for name in names:
        folder.key_path(directory, name).write_bytes(b"")


def test_nicknames_are_remembered_and_private(tmp_path: Path) -> None:
    folder.remember_patient(tmp_path, NETWORK, ADA)
    folder.remember_patient(tmp_path, NETWORK, BOB)
    assert folder.read_nicknames(tmp_path, NETWORK) == [ADA, BOB]
    assert stat.S_IMODE((tmp_path / "patients.json").stat().st_mode) == 0o600


def test_a_folder_without_patients_has_none(tmp_path: Path) -> None:
    assert folder.read_nicknames(tmp_path, NETWORK) == []


def test_registrations_side_by_side_are_all_kept(tmp_path: Path) -> None:
    patients = [Named(f"p{number}", sha256(bytes([number]))) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda patient: folder.remember_patient(tmp_path, NETWORK, patient), patients))
    assert set(folder.read_nicknames(tmp_path, NETWORK)) == set(patients)


def test_another_network_s_nicknames_are_refused(tmp_path: Path) -> None:
    folder.remember_patient(tmp_path, NETWORK, ADA)
    with pytest.raises(BadInputError, match="another network"):
        folder.read_nicknames(tmp_path, sha256(b"other"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 9, "network": "", "patients": {}}'])
def test_a_damaged_file_of_nicknames_is_said_to_be_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "patients.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=r"patients\.json"):
        folder.read_nicknames(tmp_path, NETWORK)


def test_a_nickname_that_leads_to_no_id_is_said_to_be_damaged(tmp_path: Path) -> None:
    folder.remember_patient(tmp_path, NETWORK, ADA)
    path = tmp_path / "patients.json"
    held = json.loads(path.read_text(encoding="utf-8"))
    held["patients"]["ada"] = "x"
    path.write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(BadInputError, match=r"patients\.json cannot be read"):
        folder.read_nicknames(tmp_path, NETWORK)


@pytest.mark.parametrize("name", ["", "Ada Lovelace", "ada"])
def test_a_nickname_is_a_name_and_given_once(tmp_path: Path, name: str) -> None:
    folder.remember_patient(tmp_path, NETWORK, ADA)
    with pytest.raises(BadInputError):
        folder.check_nickname(tmp_path, NETWORK, name)
    folder.check_nickname(tmp_path, NETWORK, "adelaide")


def test_a_key_is_found_by_name_start_or_path(tmp_path: Path) -> None:
    _make_keys(tmp_path, "dr-lee", "dr-leeds", "lab")
    assert folder.find_key_file(tmp_path, "dr-lee").name == "dr-lee.key"
    assert folder.find_key_file(tmp_path, "la").name == "lab.key"
    path = folder.key_path(tmp_path, "lab")
    assert folder.find_key_file(tmp_path, str(path)) == path


def test_a_key_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="participant create"):
        folder.find_key_file(tmp_path, "dr-lee")
    _make_keys(tmp_path, "dr-lee", "dr-leeds")
    with pytest.raises(NotFoundError, match="there are: dr-lee, dr-leeds"):
        folder.find_key_file(tmp_path, "lab")
    with pytest.raises(NotFoundError, match="more than one key: dr-lee, dr-leeds"):
        folder.find_key_file(tmp_path, "dr")
    with pytest.raises(NotFoundError, match="no key file"):
        folder.find_key_file(tmp_path, str(tmp_path / "gone.key"))


def test_what_does_not_run_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARENET_POSTGRES", raising=False)
    with pytest.raises(SetupError, match="carenet up --dir"):
        folder.find_running(tmp_path)
    with pytest.raises(SetupError, match="carenet up --dir"):
        folder.find_database(tmp_path)
    monkeypatch.setenv("CARENET_POSTGRES", "postgresql://x")
    assert folder.find_database(tmp_path) == "postgresql://x"
