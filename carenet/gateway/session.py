"""One client's connection from challenge to close: frames in, requests answered, live pushes and backlog out.

Tasks of a session, all in one group, so that none outlives it: a sender that empties the outbox, a walker that fills it
with backlog while there is room, a reader, one task for each request under way, and one that waits for the end.
Whoever pushes only queues (`send_frame`), and a full queue ends the session: no reader can make another one wait.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError, TransportError
from carenet.gateway import messages
from carenet.gateway.authority import Authority
from carenet.gateway.feed import Feed
from carenet.gateway.handshake import Challenge, check_hello, welcome
from carenet.gateway.limits import Limits
from carenet.gateway.messages import BadRequestError, GarbageError, Message
from carenet.gateway.metrics import Metrics
from carenet.gateway.outbox import Outbox
from carenet.gateway.outcomes import Outcomes
from carenet.gateway.push import (
    ACCESS_ENDED,
    BAD_MESSAGE,
    GOING_AWAY,
    NOT_AUTHENTICATED,
    SLOW_READER,
    TOO_MANY_REQUESTS,
    Pusher,
    encode_push,
)
from carenet.gateway.requests import Asker, Requests, clock_ms
from carenet.gateway.subscribing import fetch_since, read_cursor, read_interest
from carenet.gateway.watch import PageWanted, Since, Watch
from carenet.rules.reasons import Reason
from carenet.rules.rows import ParticipantRow
from carenet.statements.challenge import NONCE_BYTES
from carenet.statements.genesis import Genesis
from carenet.store.store import Store
from carenet.store.stored import StoredEntry

_RETRY_S = 0.5
_CLOSED_BY_CLIENT = 1000
_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What the sessions of one gateway share.

    Attributes:
        genesis: the network's.
        origin: the gateway's address as clients dial it.
        limits: what a client may cost.
        store: for clients' questions and backlog.
        authority, feed, pusher, outcomes, requests, metrics: see their modules.
    """

    genesis: Genesis
    origin: str
    limits: Limits
    store: Store
    authority: Authority
    feed: Feed
    pusher: Pusher
    outcomes: Outcomes
    requests: Requests
    metrics: Metrics


class _Ended(Exception):  # noqa: N818 - it is how a session's tasks are told, not an error
    """The session is over."""


async def authenticate(connection: ServerConnection, services: Services) -> ParticipantRow | None:
    """Challenge a client; None if it did not answer rightly, and the connection is then closed."""
    challenge = Challenge(services.genesis.network_id, services.origin, secrets.token_bytes(NONCE_BYTES))
    code, reason = NOT_AUTHENTICATED, "no right answer to the challenge in time"
    try:
        async with asyncio.timeout(services.limits.hello_s):
            await connection.send(messages.encode(challenge.message()), text=True)
            hello = messages.decode(await connection.recv())
            row = check_hello(challenge, hello, services.authority)
            connection.protocol.max_message_size = services.limits.max_frame
            greeting = welcome(row, services.genesis, services.limits.max_frame)
            await connection.send(messages.encode(greeting), text=True)
            return row
    except (GarbageError, BadRequestError) as exc:
        code, reason = BAD_MESSAGE, str(exc)
    except RefusedError as exc:
        code = ACCESS_ENDED if exc.reason == Reason.SUSPENDED else NOT_AUTHENTICATED
        reason = exc.reason
    except TimeoutError:
        pass
    except ConnectionClosed:
        return None
    services.metrics.closes.labels(code).inc()
    await connection.close(code, reason[:100])
    return None


class Session:
    """A client that is in; see the module header.

    Args:
        connection: its socket.
        row: who it is.
        services: what sessions share.
    """

    def __init__(self, connection: ServerConnection, row: ParticipantRow, services: Services) -> None:
        self.participant = row.id
        self.sign = row.sign
        self.watch = Watch(row.id, services.authority)
        self._connection = connection
        self._services = services
        self._outbox = Outbox(services.limits.queue_bytes, services.limits.queue_frames)
        self._asker = Asker(row.id, self.tell)
        self._owed = asyncio.Event()
        self._ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._subscribing = asyncio.Lock()  # held while a subscription is set up: one at a time
        self._requests = 0
        self._request_bytes = 0
        self._answered = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Session of {encode_id(self.participant)[:8]}: {self._outbox!r}, {self._requests} requests>"

    # What the pusher does with it.

    @property
    def has_room(self) -> bool:
        """Whether the queue takes more entries."""
        return self._outbox.has_room

    def send_frame(self, frame: bytes) -> None:
        """Queue a frame; a full queue ends the session."""
        if not self._outbox.put(frame):
            self.end(SLOW_READER, "reading too slowly: resume from your cursor")

    def tell(self, message: Message) -> None:
        """Queue a message."""
        self.send_frame(messages.encode(message))
        self._owed.set()

    def wake(self) -> None:
        """There may be backlog to send."""
        self._owed.set()

    def end(self, code: int, reason: str) -> None:
        """Close the session; only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result((code, reason))

    # Its life.

    async def run(self) -> None:
        """Serve the client until it leaves or is cut off."""
        services = self._services
        services.pusher.join(self)
        self._end_if_late()
        services.metrics.sessions.inc()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._send())
                group.create_task(self._walk())
                group.create_task(self._read(group))
                group.create_task(self._wait_for_end())
        except* (_Ended, ConnectionClosed):
            pass
        finally:
            services.pusher.leave(self)
            services.outcomes.leave(self.participant, self.tell)
            services.metrics.sessions.dec()
        code, reason = self._ended.result() if self._ended.done() else (_CLOSED_BY_CLIENT, "")
        if code != _CLOSED_BY_CLIENT:
            services.metrics.closes.labels(code).inc()
            _LOG.info("session ended", participant=encode_id(self.participant), code=code)
        await self._connection.close(code, reason)

    def _end_if_late(self) -> None:
        """A suspension or rotation that was applied while the greeting was sent found no session to end."""
        authority = self._services.authority
        row = authority.participant(self.participant)
        if authority.is_suspended(self.participant):
            self.end(ACCESS_ENDED, "suspended")
        elif row is None or row.sign != self.sign:
            self.end(GOING_AWAY, "the key was rotated: sign in with the new one")

    async def _wait_for_end(self) -> None:
        await asyncio.shield(self._ended)
        raise _Ended

    async def _send(self) -> None:
        while True:
            frame = await self._outbox.get()
            try:
                async with asyncio.timeout(self._services.limits.stall_s):
                    await self._connection.send(frame, text=True)
            except TimeoutError:
                self.end(SLOW_READER, "not reading: resume from your cursor")
                return

    # Backlog.

    async def _walk(self) -> None:
        while True:
            await self._owed.wait()
            self._owed.clear()
            try:
                while (todo := self.watch.next_page()) is not None:
                    if isinstance(todo, PageWanted):
                        await self._send_page(todo)
                    else:
                        for message in todo:
                            self.send_frame(messages.encode(message))
            except TransportError:
                await asyncio.sleep(_RETRY_S)  # PostgreSQL is away; the pass is where it was
                self._owed.set()

    async def _send_page(self, wanted: PageWanted) -> None:
        page = await self._services.store.read_subject_entries(
            wanted.partition, wanted.subject, wanted.at.next, wanted.limit
        )
        rest: PageWanted | None = wanted
        for portion in _portions(page, self._services.limits.queue_bytes // 4):
            await self._outbox.room()
            if rest is None:
                return
            # Judged and queued in one go, at the head that is applied now: nothing is sent after a withdrawal.
            owed, said, rest = self.watch.take_page(rest, portion, clock_ms())
            for entry in owed:
                self.send_frame(encode_push(entry, is_backlog=True))
                self._services.metrics.pushes.labels("backlog").inc()
            for message in said:
                self.send_frame(messages.encode(message))

    # Requests.

    async def _read(self, group: asyncio.TaskGroup) -> None:
        limits = self._services.limits
        try:
            async for frame in self._connection:
                message = messages.decode(frame)
                number = messages.request_id(message)
                if self._requests >= limits.requests:
                    self.end(TOO_MANY_REQUESTS, "too many requests under way")
                    return
                self._requests += 1
                self._request_bytes += len(frame)
                group.create_task(self._answer(number, message, len(frame)))
                while self._request_bytes > limits.request_bytes:
                    self._answered.clear()
                    await self._answered.wait()
        except GarbageError as exc:
            self.end(BAD_MESSAGE, str(exc)[:100])
            return
        self.end(_CLOSED_BY_CLIENT, "")

    async def _answer(self, number: int, request: Message, size: int) -> None:
        result = "reply"
        try:
            if request["type"] == "subscribe":
                await self._subscribe(number, request)
            else:
                fields = await self._services.requests.answer(self._asker, request)
                self.send_frame(messages.encode({"type": "reply", "id": number, **fields}))
        except BadRequestError as exc:
            result = self._refuse(number, "bad_request", str(exc))
        except RefusedError as exc:
            result = self._refuse(number, exc.reason, exc.detail)
        except TransportError as exc:
            result = self._refuse(number, "unavailable", str(exc))
        finally:
            self._requests -= 1
            self._request_bytes -= size
            self._answered.set()
        known = request["type"] if result != "unsupported" else "other"  # a client must not make up labels
        self._services.metrics.requests.labels(known, result).inc()

    def _refuse(self, number: int, reason: str, detail: str) -> str:
        self.send_frame(messages.encode({"type": "error", "id": number, "reason": str(reason), "detail": detail}))
        return str(reason)

    async def _subscribe(self, number: int, request: Message) -> None:
        services, limits = self._services, self._services.limits
        interest = read_interest(request)
        cursor = read_cursor(request, services.genesis.partitions)
        async with self._subscribing:
            # What was committed before the client asked counts, a grant that was given a moment ago above all.
            due = {each: head.size for each, head in (await services.store.heads()).items()}
            for partition, index in (cursor.at if cursor else {}).items():
                due[partition] = max(index, due[partition])
            await services.feed.wait_for(due, limits.ahead_s)
            self.watch.begin(interest)
            try:
                since = Since()
                if cursor is not None:
                    heads = list(services.authority.heads)
                    since = await fetch_since(services.store, cursor, self.participant, heads, clock_ms())
                said = self.watch.finish(cursor, since, clock_ms())
            except BaseException:
                for message in self.watch.cancel():
                    self.tell(message)
                raise
            self.send_frame(messages.encode({"id": number, **said}))
            if not self.watch.passes:
                self.send_frame(messages.encode(self.watch.level()))
            self.wake()


def _portions(page: list[StoredEntry], max_bytes: int) -> Iterator[list[StoredEntry]]:
    """Parts of a page whose frames fit into a session's queue while there is room."""
    portion: list[StoredEntry] = []
    size = 0
    for entry in page:
        frame_bytes = 2 * (len(entry.statement) + len(entry.body or b""))  # base64 and the fields around it: less
        if portion and size + frame_bytes > max_bytes:
            yield portion
            portion, size = [], 0
        portion.append(entry)
        size += frame_bytes
    if portion:
        yield portion
