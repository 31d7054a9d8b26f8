"""`carenet rejections`: what this node refused, for its operator; read from its database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carenet.cli import folder
from carenet.cli.options import DEFAULT_DIR, Dir, Json, epilog
from carenet.cli.screen import Screen
from carenet.cli.times import show_time
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from carenet.store.store import Store
    from carenet.store.stored import StoredRejection

_SHOWN_HEAD = 48  # bytes

app = typer.Typer(name="rejections", help="What this node refused, and why (for its operator).", no_args_is_help=True)


@app.command("list", epilog=epilog("carenet rejections list --reason stale_epoch"))
def list_rejections(
    reason: Annotated[str | None, typer.Option(help="Only this reason code.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest first.")] = 50,
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """List refused records, the newest first; repeats of accepted statements stand here as duplicate."""
    _check_reason(reason)
    found = asyncio.run(_read(directory, limit, reason))
    screen = Screen(json=json)
    rows = [(f"{each.partition}/{each.offset}", _at(each), each.reason, _issuer(each), each.detail) for each in found]
    screen.table(("record", "refused at", "reason", "issuer", "detail"), rows, "nothing was refused")
    screen.emit({"rejections": [_describe(each) for each in found]})


@app.command(epilog=epilog("carenet rejections show 3/1042"))
def show(
    record: Annotated[str, typer.Argument(help="PARTITION/OFFSET as list shows it, or a statement's digest in hex.")],
    directory: Dir = DEFAULT_DIR,
    json: Json = False,
) -> None:
    """Show one refused record: its reason, who it says it is from, and how it began."""
    found = asyncio.run(_find(directory, record))
    described = _describe(found)
    screen = Screen(json=json)
    for field, value in described.items():
        screen.say(f"{field:<10} {'-' if value is None else value}")
    screen.say(f"begins     {found.head[:_SHOWN_HEAD].hex()}…")
    screen.emit(described | {"head": found.head.hex()})


async def _read(directory: Path, limit: int, reason: str | None) -> list[StoredRejection]:
    async with _store(directory) as store:
        return await store.rejections(limit, reason)


async def _find(directory: Path, record: str) -> StoredRejection:
    partition, slash, offset = record.partition("/")
    async with _store(directory) as store:
        if slash and partition.isdecimal() and offset.isdecimal():
            found: Any = await store.find_rejection(int(partition), int(offset))
        elif slash:
            raise BadInputError(f"{record!r} is not PARTITION/OFFSET, two numbers")
        else:
            found = await store.outcome_of(_read_digest(record))
    from carenet.store.stored import StoredRejection

    if not isinstance(found, StoredRejection):
        raise NotFoundError(f"no record {record} was refused; see carenet rejections list")
    return found


def _store(directory: Path) -> Store:
    from carenet.store.store import Store

    return Store(folder.find_database(directory))


def _read_digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:  # noqa: PLR2004 - SHA-256
        raise BadInputError(f"{text!r} is neither PARTITION/OFFSET nor a digest of 64 hexadecimal digits")
    return digest


def _check_reason(reason: str | None) -> None:
    from carenet.rules.reasons import Reason

    if reason is not None and reason not in set(Reason):
        raise NotFoundError(f"no reason is called {reason!r}; there are: {', '.join(Reason)}")


def _describe(found: StoredRejection) -> dict[str, Any]:
    return {
        "partition": found.partition,
        "offset": found.offset,
        "reason": found.reason,
        "detail": found.detail,
        "issuer": None if found.issuer is None else encode_id(found.issuer),
        "proven": found.is_proven,
        "digest": None if found.digest is None else found.digest.hex(),
        "winner": None if found.winner is None else found.winner.hex(),
        "at": _at(found),
    }


def _at(found: StoredRejection) -> str:
    return show_time(int(found.at.timestamp() * 1000))


def _issuer(found: StoredRejection) -> str:
    if found.issuer is None:
        return "-"
    return encode_id(found.issuer)[:8] + ("…" if found.is_proven else "…?")
