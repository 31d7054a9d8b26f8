"""PostgreSQL's errors turned into ours at the room's edge: retry, set up, or stop and page someone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from carenet.errors import CorruptionError, SetupError, TransportError


class LostPartition(TransportError):  # noqa: N818 - it is what happened, and nothing is wrong with the database
    """Another worker has moved the partition on: let go of it, and read its state again if it is still yours."""


class UsedId(CorruptionError):  # noqa: N818 - as above
    """An id of the batch was used before, so nothing was written: decide it again, with the rows loaded.

    If they were loaded, the database is not what the log says.
    """


_SETUP = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)
_CORRUPTION = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
)
_USED = {"idempotency_pkey", "entries_digest"}  # either may be found first
_PROGRAMMER = (asyncpg.DataError, asyncpg.SyntaxOrAccessError)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise our errors for those of asyncpg and of the network. Values never enter the message: they may name people.

    Args:
        doing: what was tried, for the message; ids and counts only.

    Raises:
        SetupError: no such database or table, or no right to it.
        CorruptionError: a row exists that must not, or PostgreSQL found its files damaged.
        TransportError: the database is away, full, too busy, or broke off.
    """
    try:
        yield
    except _SETUP as exc:
        raise SetupError(f"{doing}: {_name(exc)}; check the database's address, and that its schema was made") from exc
    except asyncpg.UniqueViolationError as exc:
        kind = UsedId if exc.constraint_name in _USED else CorruptionError
        raise kind(f"{doing}: {_name(exc)}: the database is not what the log says") from exc
    except _CORRUPTION as exc:
        raise CorruptionError(f"{doing}: {_name(exc)}: the database is not what the log says") from exc
    except _PROGRAMMER:
        raise  # a mistake of ours, no condition of the database
    except TimeoutError as exc:
        raise TransportError(f"{doing}: no answer from PostgreSQL in time") from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as exc:
        raise TransportError(f"{doing}: {_name(exc)}") from exc


def _name(exc: BaseException) -> str:
    state = getattr(exc, "sqlstate", None)
    return f"{type(exc).__name__} ({state})" if state else type(exc).__name__
