"""Kafka's errors turned into ours at the room's edge, and its logging kept readable while a broker is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    SecurityDisabled,
    TopicAuthorizationFailedError,
)

from carenet.errors import BadInputError, CorruptionError, SetupError, TransportError

_FORBIDDEN = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)
_REPEAT_S = 10.0  # an outage logs the same lines several times a second; one each 10 s still tells the story


class LostHistoryError(CorruptionError):
    """A partition's log does not hold the offset that comes next: acknowledged history was lost or cut off.

    Args:
        partition: the partition's number.
        offset: the first offset that should be there, or the log's end.
    """

    def __init__(self, partition: int, offset: int) -> None:
        super().__init__(f"partition {partition} does not reach to offset {offset}, which the store says was decided")
        self.partition = partition
        self.offset = offset


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise our errors for those of aiokafka and of the network.

    Args:
        doing: what was tried, for the message; ids and counts only.

    Raises:
        BadInputError: the record is larger than the producer may send.
        SetupError: Kafka's access rules do not allow it to this user; trying again does not help.
        TransportError: anything else that Kafka, the network or a timeout said.
    """
    try:
        yield
    except MessageSizeTooLargeError as exc:
        raise BadInputError(f"{doing}: the record is larger than Kafka's limit of 1 MiB") from exc
    except _FORBIDDEN as exc:
        raise SetupError(
            f"{doing}: Kafka's access rules do not allow this user to do it ({type(exc).__name__})"
        ) from exc
    except SecurityDisabled as exc:
        raise SetupError(f"{doing}: these brokers have no authorizer (authorizer.class.name)") from exc
    except TimeoutError as exc:
        raise TransportError(f"{doing}: no answer from Kafka in time") from exc
    except (KafkaError, ConsumerStoppedError, OSError) as exc:
        raise TransportError(f"{doing}: {type(exc).__name__}: {exc}") from exc


async def connect_or_close(
    doing: str, timeout_s: float, connecting: Coroutine[Any, Any, None], close: Callable[[], Awaitable[None]]
) -> None:
    """Connect a client that its owner has made, and have it closed if that fails or is cancelled.

    Args:
        doing: what is tried, for messages.
        timeout_s: seconds that it gets.
        connecting: the call of aiokafka that connects.
        close: closes the client.

    Raises:
        SetupError: Kafka does not take the login.
        TransportError: Kafka cannot be reached in time.
    """
    try:
        with translated(doing):
            async with asyncio.timeout(timeout_s):
                await connecting
    except BaseException:
        await close()
        raise


async def finish_connecting(connecting: Coroutine[Any, Any, None]) -> None:
    """Await a call of aiokafka that connects; if we are cancelled meanwhile, let it come to its end first.

    aiokafka forgets the connection over which it asks for metadata when it is cancelled just then, and nobody could
    close it. Probes are cancelled all the time: whenever their process dies.

    Args:
        connecting: the call; the client that it belongs to has a timeout of its own, and is closed by the caller.
    """
    task = asyncio.ensure_future(connecting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen; the cancellation is what counts
        raise


async def ends_within(timeout_s: float, closing: Coroutine[Any, Any, None]) -> bool:
    """Whether something of aiokafka's closed well; without a broker it may wait for ever, or cancel itself.

    Args:
        timeout_s: seconds that it gets.
        closing: the call that closes it.
    """
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait([task], timeout=timeout_s)
    finally:
        task.cancel()  # nothing happens if it has ended
    return task.done() and not task.cancelled() and task.exception() is None


class _Repeats(logging.Filter):
    """Lets each line of a logger (by its template) pass once in `_REPEAT_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._last.get(record.msg, -_REPEAT_S) < _REPEAT_S:
            return False
        self._last[record.msg] = now
        return True


def limit_repeated_logs() -> None:
    """Thin out aiokafka's loggers; called by whoever opens a connection, and any number of times.

    A filter on a parent logger does not see its children's lines, so every logger gets one of its own.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] != "aiokafka":
            continue
        logger = logging.getLogger(name)
        if not any(isinstance(each, _Repeats) for each in logger.filters):
            logger.addFilter(_Repeats())
