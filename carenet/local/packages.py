"""Kafka's jars: fetched once by jgo's own resolver, held against pinned hashes, then used offline.

`kafka_jars.json` names the coordinates and every jar with size and SHA-256. So a jar that is truncated (an
interrupted download leaves one, and jgo takes it) or altered anywhere on its way is found, sizes are known before
anything is fetched, and a start with all jars in place needs neither jgo nor a network.

Order of a fetch, in a process of its own so that Ctrl-C ends it at once:
1. take the lock file: two fetches at once would crash one another;
2. look again, for the one who held the lock may have done the work;
3. let jgo resolve into an empty folder beside the final one;
4. check every jar, move them into place, remove the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carenet.errors import SetupError
from carenet.local.process import launcher_argv

_PINS = Path(__file__).with_name("kafka_jars.json")
_REPORT_BYTES = 256 * 1024  # a progress line this often, not one for each 8 KiB that arrive


@dataclass(frozen=True, slots=True)
class Download:
    """How far the fetch of one file is.

    Args:
        name: file name.
        done_bytes: what has arrived.
        total_bytes: its whole size.
    """

    name: str
    done_bytes: int
    total_bytes: int


Progress = Callable[[Download], None]


@dataclass(frozen=True, slots=True)
class PinnedJar:
    """One jar as it must be.

    Args:
        name: file name.
        size: bytes.
        sha256: hexadecimal digest.
    """

    name: str
    size: int
    sha256: str

    def is_intact(self, folder: Path) -> bool:
        """Whether the folder holds exactly this jar."""
        path = folder / self.name
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def pinned_jars() -> tuple[PinnedJar, ...]:
    """Every jar of Kafka's class path, in its order."""
    return tuple(PinnedJar(name, pin["size"], pin["sha256"]) for name, pin in _pins()["jars"].items())


def download_bytes() -> int:
    """What a first fetch of the jars brings (their descriptions, about 1 MB, not counted)."""
    return sum(jar.size for jar in pinned_jars())


def kafka_jars_folder(cache: Path) -> Path:
    """Where the checked jars are: one folder for each set of coordinates."""
    version = str(_pins()["coordinates"]).split("+", maxsplit=1)[0].rsplit(":", maxsplit=1)[-1]
    return cache.absolute() / f"kafka-{version}"


def broken_jars(cache: Path) -> list[str]:
    """Names of the jars that are missing, truncated or altered; empty when Kafka can start offline."""
    folder = kafka_jars_folder(cache)
    return [jar.name for jar in pinned_jars() if not jar.is_intact(folder)]


async def fetch_kafka_jars(cache: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """The jars of Kafka's class path, fetched first if one of them is not as pinned.

    Args:
        cache: folder shared by all state folders.
        progress: told of every file that is fetched; not called when nothing is.

    Raises:
        SetupError: they could not be fetched, or what came is not what is pinned.
    """
    if await asyncio.to_thread(broken_jars, cache):
        await _fetch_in_child(cache, progress)
    folder = kafka_jars_folder(cache)
    return tuple(folder / jar.name for jar in pinned_jars())


async def _fetch_in_child(cache: Path, progress: Progress | None) -> None:
    """Run this module as a process and hand on what it reports, line by line."""
    argv = (sys.executable, "-m", "carenet.local.packages", str(cache))
    child = await asyncio.create_subprocess_exec(
        *launcher_argv(argv, signal.SIGKILL),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    error = ""
    try:
        async for line in child.stdout:
            message: dict[str, Any] = json.loads(line)
            if "error" in message:
                error = message["error"]
            elif progress is not None:
                progress(Download(**message))
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise SetupError(f"Kafka's jars could not be fetched: {error or f'exit code {child.returncode}'}")


def fetch_blocking(cache: Path, progress: Progress) -> None:
    """Steps 1 to 4 of the header.

    Raises:
        SetupError: what came is not what is pinned, or the cache cannot be written.
    """
    folder, partial = kafka_jars_folder(cache), cache / "partial"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "fetch.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # 1
            if not broken_jars(cache):  # 2
                return
            shutil.rmtree(partial, ignore_errors=True)
            found = {path.name: path for path in _resolve(partial, progress)}  # 3
            wrong = [jar.name for jar in pinned_jars() if jar.name not in found]
            wrong += [
                jar.name for jar in pinned_jars() if jar.name in found and not jar.is_intact(found[jar.name].parent)
            ]
            if wrong:
                raise SetupError(f"not as pinned: {', '.join(wrong)}; run again, and report it if it stays so")
            folder.mkdir(exist_ok=True)
            for jar in pinned_jars():  # 4
                found[jar.name].resolve().replace(folder / jar.name)
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as exc:
        raise SetupError(f"{cache}: {exc}") from exc


def _resolve(partial: Path, progress: Progress) -> list[Path]:
    """Let jgo fetch everything that the coordinates need into `partial`."""
    # Imported here: only a fetch needs jgo and the HTTP client behind it.
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    @contextlib.contextmanager
    def report(name: str, total: int) -> Iterator[Callable[[int], None]]:
        done = reported = 0

        def advance(count: int) -> None:
            nonlocal done, reported
            done += count
            if done == total or done - reported >= _REPORT_BYTES:
                reported = done
                progress(Download(name, done, total))

        yield advance

    context = MavenContext(resolver=PythonResolver(progress_callback=report), repo_cache=partial / "repository")
    builder = EnvironmentBuilder(context=context, cache_dir=partial / "jgo", link_strategy=LinkStrategy.HARD)
    try:
        environment = builder.from_endpoint(endpoint=str(_pins()["coordinates"]))
    except Exception as exc:  # jgo raises whatever its HTTP client or its XML parser raise
        raise SetupError(f"{type(exc).__name__}: {exc}") from exc
    return [Path(path) for path in environment.all_jars]  # `classpath` lists only two of them


def _pins() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_PINS.read_text(encoding="utf-8"))
    return loaded


def main() -> int:
    """Fetch into the folder named by the first argument; one JSON object a line says how far it is."""
    try:
        fetch_blocking(Path(sys.argv[1]), lambda download: print(json.dumps(asdict(download)), flush=True))  # noqa: T201
    except SetupError as exc:
        print(json.dumps({"error": str(exc)}), flush=True)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
