"""Looking for bytes where they must not be: as they are, in hexadecimal and in base64, in files and database tables."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import asyncpg


def spellings(needle: bytes) -> set[bytes]:
    """How bytes may lie in a file: raw, in hexadecimal, in base64 of either alphabet at any place of a longer text."""
    found = {needle, needle.hex().encode(), needle.hex().upper().encode()}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + needle)
        # The characters at both ends also hold bits of the neighbours.
        inner = encoded.rstrip(b"=")[(shift * 8 + 5) // 6 : (len(needle) + shift) * 8 // 6]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def find(needles: Iterable[bytes], haystacks: Iterable[tuple[str, bytes]]) -> set[tuple[str, bytes]]:
    """Which needle lies in which haystack, however it is spelled.

    Args:
        needles: at least 8 bytes each, so that none is there by chance.
        haystacks: names and contents.
    """
    wanted = {needle: spellings(needle) for needle in needles}
    assert all(len(needle) >= 8 for needle in wanted)
    found = set()
    for name, content in haystacks:
        dense = content.replace(bytes(64), b"")  # servers reserve room: most of their files are zeros
        found |= {(name, needle) for needle, spelled in wanted.items() if any(each in dense for each in spelled)}
    return found


def read_files(folder: Path, without: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder by its relative name, but those in (or at) some paths."""
    left_out = tuple(without)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(each) for each in left_out):
            yield str(path.relative_to(folder)), path.read_bytes()


async def read_tables(dsn: str) -> dict[str, bytes]:
    """Every table of the database as COPY gives it, in its binary form: values as they are, and not compressed."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        contents = {}
        for (table,) in tables:
            output = BytesIO()
            await connection.copy_from_table(table, output=output, format="binary")
            contents[table] = output.getvalue()
        return contents
    finally:
        await connection.close()
