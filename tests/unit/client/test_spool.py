from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from carenet.client.spool import Letter, Spool, spool_path
from carenet.errors import SetupError


def letter(number: int, statement: bytes = b"s") -> Letter:
    return Letter(bytes(32), bytes([number]) * 16, statement, b"body", b"plain")


def crash(spool: Spool) -> None:
    """What the end of a process leaves: an open lock is let go, its file stays."""
    import os  # noqa: PLC0415 - nothing else here needs it

    assert spool._lock is not None
    os.close(spool._lock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "alice.sqlite"


def test_a_letter_stays_until_its_outcome_is_known(path: Path):
    with Spool(path) as spool:
        spool.put(letter(1))
        spool.put(letter(2))
        spool.remove(bytes(32), letter(1).cti)
    with Spool(path) as spool:
        assert spool.adopt() == [letter(2)]
        assert spool.count() == 1


def test_a_letter_that_is_stored_again_after_it_was_forgotten_stays(path: Path):
    with Spool(path) as spool:
        spool.put_all([letter(1), letter(2), letter(3)])
        for number in (1, 2, 3):
            spool.remove(bytes(32), letter(number).cti)
        spool.put(letter(1))
        spool.put_all([letter(2)])
        spool.sweep()
        assert sorted(spool.adopt(), key=lambda each: each.cti) == [letter(1), letter(2)]


def test_what_another_process_stored_again_is_not_swept(path: Path):
    with Spool(path) as spool, Spool(path) as other:
        spool.put(letter(1))
        spool.remove(bytes(32), letter(1).cti)
        other.put(letter(1))
        spool.sweep()
        assert other.adopt() == [letter(1)]


def test_many_letters_are_stored_and_forgotten_together(path: Path):
    letters = [letter(number) for number in range(50)]
    with Spool(path) as spool:
        spool.put_all(letters)
        spool.put_all([])
        assert spool.count() == 50
        spool.remove_all(letters[:20])
        spool.remove_all([])
        assert sorted(spool.adopt(), key=lambda each: each.cti) == letters[20:]
    with Spool(path) as spool:
        assert spool.count() == 30


def test_of_letters_that_cannot_all_be_stored_none_is(path: Path):
    with Spool(path) as spool:
        with pytest.raises(SetupError, match="cannot be used"):
            spool.put_all([letter(1), letter(2, None)])  # type: ignore[arg-type] - what no column takes
        assert spool.count() == 0
        spool.put(letter(3))
        assert spool.count() == 1


def test_a_file_that_an_earlier_version_laid_out_goes_on(path: Path):
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE letters (subject BLOB, cti BLOB, holder TEXT NOT NULL, created_ms INTEGER NOT NULL, statement"
        " BLOB NOT NULL, body BLOB, plaintext BLOB, PRIMARY KEY (subject, cti)) WITHOUT ROWID; PRAGMA user_version = 1;"
    )
    database.close()
    with Spool(path) as spool:
        spool.put_all([letter(1), letter(2)])
        spool.remove(bytes(32), letter(1).cti)
        assert spool.adopt() == [letter(2)]


def test_a_rebuilt_letter_takes_the_place_of_the_first_build(path: Path):
    with Spool(path) as spool:
        spool.put(letter(1, b"first"))
        spool.put(letter(1, b"second"))
        assert [each.statement for each in spool.adopt()] == [b"second"]


def test_letters_of_a_process_that_lives_are_left_to_it(path: Path):
    with Spool(path) as one, Spool(path) as other:
        one.put(letter(1))
        assert other.adopt() == []
        assert one.adopt() == [letter(1)]


def test_letters_of_a_process_that_died_are_taken_over_once(path: Path):
    dead = Spool(path).__enter__()
    dead.put(letter(1))
    crash(dead)
    with Spool(path) as one, Spool(path) as other:
        assert one.adopt() == [letter(1)]
        assert other.adopt() == []
    assert not list(path.parent.glob("*.lock"))


def test_the_newest_epoch_known_only_grows(path: Path):
    with Spool(path) as spool:
        assert spool.newest_epoch(b"p", "clinical") is None
        for seq, epoch in ((3, b"c"), (5, b"e"), (4, b"d")):
            spool.remember_epoch(b"p", "clinical", seq, epoch)
        spool.remember_epoch(b"p", "identity", 0, b"i")
    with Spool(path) as spool:
        assert spool.newest_epoch(b"p", "clinical") == (5, b"e")


def test_the_file_is_its_owners_alone(path: Path):
    with Spool(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_spool_in_memory_forgets():
    with Spool(None) as spool:
        spool.put(letter(1))
        assert spool.adopt() == [letter(1)]
        assert repr(spool) == "<Spool in memory: 1>"
    with Spool(None) as spool:
        assert spool.adopt() == []


def test_a_file_of_another_format_is_refused(path: Path):
    path.parent.mkdir()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    spool = Spool(path)
    with pytest.raises(SetupError, match="format 99"), spool:
        pass
    spool.__exit__(None, None, None)


def test_a_file_that_is_no_database_is_refused(path: Path):
    path.parent.mkdir()
    path.write_bytes(b"x" * 4096)
    spool = Spool(path)
    with pytest.raises(SetupError, match="cannot be used"), spool:
        pass
    spool.__exit__(None, None, None)


def test_a_participants_file_is_named_by_name_and_id():
    assert spool_path(Path("s"), "alice", "A" * 43) == Path("s/alice-AAAAAAAAAAAA.sqlite")
