"""The spool: what was made and not yet decided, and the newest epochs known; one SQLite file a participant.

A statement is stored before its first send and stays until its outcome is known, so a crash anywhere ends in the same
bytes being sent again, which is the one event. Beside care data lies its plaintext, sealed by the publisher's own
secret, in case it must be sealed anew. Several processes of one participant share the file: each owns its letters by a
lock file that dies with it, and takes over the letters of processes that are gone.

Commits do not wait for the disk (`synchronous=NORMAL`): a killed process loses nothing, a power cut may lose the last
letters, of which no caller had been told an outcome. Letters whose outcomes are known are taken out many at a time,
since that costs as much as storing one; a process that is killed before leaves them to be sent once more.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from carenet.errors import SetupError

FORMAT = 1
_BUSY_S = 5.0
# A letter has some 3 KB. Appended to a table of large pages, a chunk of them costs 9 us each; under their key in small
# pages it was 37.
_PAGE_BYTES = 16384
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS letters (
  subject BLOB, cti BLOB, holder TEXT NOT NULL, created_ms INTEGER NOT NULL,
  statement BLOB NOT NULL, body BLOB, plaintext BLOB, PRIMARY KEY (subject, cti)
);
CREATE TABLE IF NOT EXISTS epochs (
  subject BLOB, compartment TEXT, seq INTEGER NOT NULL, epoch BLOB NOT NULL, PRIMARY KEY (subject, compartment)
) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""
_PUT = "INSERT OR REPLACE INTO letters VALUES (?, ?, ?, ?, ?, ?, ?)"
# By holder too: another process may have stored the same event again since.
_REMOVE = "DELETE FROM letters WHERE subject = ? AND cti = ? AND holder = ?"


@dataclass(frozen=True, slots=True)
class Letter:
    """A statement on its way.

    Attributes:
        subject: 32 bytes.
        cti: 16 bytes.
        statement: the bytes that are sent.
        body: what travels beside them, or None.
        plaintext: care data's content, sealed by the publisher for itself; None on control statements.
    """

    subject: bytes
    cti: bytes
    statement: bytes = field(repr=False)
    body: bytes | None = field(repr=False)
    plaintext: bytes | None = field(default=None, repr=False)


class Spool:
    """A participant's spool; a context manager.

    Args:
        path: the SQLite file; None keeps it in memory, and nothing survives the process.

    Raises:
        SetupError: the file cannot be opened, or is of another format.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._holder = secrets.token_hex(8)
        self._lock: int | None = None
        self._database: sqlite3.Connection | None = None
        self._decided: set[tuple[bytes, bytes]] = set()  # subjects and ctis that the next sweep takes out

    def __repr__(self) -> str:
        return f"<Spool {self._path or 'in memory'}: {self.count() if self._database else 'closed'}>"

    def __enter__(self) -> Self:
        with _translated(self._path):
            if self._path is not None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = _take_lock(self._lock_path(self._holder), make=True)
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(self._path or ":memory:", timeout=_BUSY_S, isolation_level=None)
            self._prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            try:
                self.sweep()
            finally:
                self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            if self._path is not None:
                self._lock_path(self._holder).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def put(self, letter: Letter) -> None:
        """Store a letter before it is sent; one of the same subject and cti gives way."""
        with _translated(self._path):
            self._open.execute(_PUT, self._row(letter, _now_ms()))
        self._decided.discard((letter.subject, letter.cti))

    def put_all(self, letters: Sequence[Letter]) -> None:
        """Store letters before any of them is sent: all of them, or on an error none."""
        now_ms = _now_ms()
        with _translated(self._path), self._transaction() as database:
            database.executemany(_PUT, [self._row(letter, now_ms) for letter in letters])
        self._decided.difference_update((letter.subject, letter.cti) for letter in letters)

    def remove(self, subject: bytes, cti: bytes) -> None:
        """Forget a letter whose outcome is known; `sweep` takes it out of the file."""
        self._decided.add((subject, cti))

    def remove_all(self, letters: Iterable[Letter]) -> None:
        """Forget letters whose outcomes are known, and sweep."""
        self._decided.update((letter.subject, letter.cti) for letter in letters)
        self.sweep()

    def sweep(self) -> None:
        """Take the forgotten letters out of the file; nothing happens where there are none."""
        if not self._decided:
            return
        with _translated(self._path), self._transaction() as database:
            database.executemany(_REMOVE, [(*key, self._holder) for key in self._decided])
        self._decided.clear()

    def count(self) -> int:
        """How many letters wait for an outcome."""
        self.sweep()
        with _translated(self._path):
            return int(self._open.execute("SELECT count(*) FROM letters").fetchone()[0])

    def adopt(self) -> list[Letter]:
        """Take over the letters of processes that are gone, and list them in the order in which they were made."""
        self.sweep()
        with _translated(self._path):
            holders = [row[0] for row in self._open.execute("SELECT DISTINCT holder FROM letters")]
            for holder in holders:
                if holder != self._holder and self._is_gone(holder):
                    self._open.execute("UPDATE letters SET holder = ? WHERE holder = ?", (self._holder, holder))
            query = "SELECT subject, cti, statement, body, plaintext FROM letters WHERE holder = ? ORDER BY created_ms"
            return [Letter(*row) for row in self._open.execute(query, (self._holder,))]

    def newest_epoch(self, subject: bytes, compartment: str) -> tuple[int, bytes] | None:
        """Chain place and id of the newest epoch known of a compartment."""
        query = "SELECT seq, epoch FROM epochs WHERE subject = ? AND compartment = ?"
        with _translated(self._path):
            row = self._open.execute(query, (subject, compartment)).fetchone()
        return None if row is None else (row[0], row[1])

    def remember_epoch(self, subject: bytes, compartment: str, seq: int, epoch: bytes) -> None:
        """Note an epoch, unless a newer one is known (another process may have been faster)."""
        insert = "INSERT INTO epochs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, "
        insert += "epoch = excluded.epoch WHERE excluded.seq > seq"
        with _translated(self._path):
            self._open.execute(insert, (subject, compartment, seq, epoch))

    @property
    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise RuntimeError("the spool is not open")
        return self._database

    def _row(self, letter: Letter, now_ms: int) -> tuple[object, ...]:
        key = letter.subject, letter.cti, self._holder, now_ms
        return *key, letter.statement, letter.body, letter.plaintext

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._open as database:  # commits, or takes everything back
            database.execute("BEGIN IMMEDIATE")
            yield database

    def _prepare(self) -> None:
        found = self._open.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, FORMAT}:
            raise SetupError(f"{self._path} is a spool of format {found}; this version reads {FORMAT}")
        self._open.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file; one that exists keeps its own
        self._open.execute("PRAGMA journal_mode = WAL")
        self._open.execute("PRAGMA synchronous = NORMAL")
        self._open.executescript(_SCHEMA)

    def _lock_path(self, holder: str) -> Path:
        assert self._path is not None
        return self._path.with_name(f"{self._path.name}.{holder}.lock")

    def _is_gone(self, holder: str) -> bool:
        """Whether a holder's process has ended: its lock file is missing, or nobody holds the lock."""
        path = self._lock_path(holder)
        try:
            lock = _take_lock(path, make=False)
        except BlockingIOError:
            return False
        if lock is not None:
            path.unlink(missing_ok=True)
            os.close(lock)
        return True


def spool_path(folder: Path, name: str, participant: str) -> Path:
    """A participant's file in the folder of spools; the start of its id tells apart equal names of two networks."""
    return folder / f"{name}-{participant[:12]}.sqlite"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _take_lock(path: Path, *, make: bool) -> int | None:
    """The descriptor that holds the lock, or None where there is no file and none is to be made."""
    try:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


@contextmanager
def _translated(path: Path | None) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise SetupError(f"the spool {path or 'in memory'} cannot be used: {exc}") from exc
