"""One client's connection from its welcome to its close: frames in, requests answered, live pushes and backlog out.

Tasks of a session, all in one group, so that none outlives it: the reader, one for each request under way, and while
there is something to do a walker that fills the outbox with backlog, and a sender that empties it while the socket is
slow. Whoever pushes only queues (`send_frame`), and a full queue ends the session: no reader can make another one wait.

Frames go around `connection.send`, which waits, and would frame a push anew for each of its receivers. They are whole,
unmasked and uncompressed, since the gateway negotiates no extension: sealed bytes do not compress.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from carenet.encoding.ids import encode_id
from carenet.errors import RefusedError, TransportError
from carenet.gateway.limits import TurnedAwayError
from carenet.gateway.messages import (
    BadRequestError,
    GarbageError,
    Message,
    Shared,
    request_id,
)
from carenet.gateway.outbox import Outbox
from carenet.gateway.push import (
    ACCESS_ENDED,
    BAD_MESSAGE,
    GOING_AWAY,
    SLOW_READER,
    TOO_MANY_REQUESTS,
    push_message,
)
from carenet.gateway.requests import WAITING, Asker, clock_ms
from carenet.gateway.services import Services, codec_of
from carenet.gateway.subscribing import fetch_since, read_cursor, read_interest
from carenet.gateway.watch import PageWanted, Since, Watch
from carenet.rules.rows import ParticipantRow
from carenet.store.stored import StoredEntry

WRITE_LIMIT = 64 * 1024  # bytes in a socket's buffer before its sender waits, and of one write
_RETRY_S = 0.5
_CLOSED_BY_CLIENT = 1000
_LOG = structlog.get_logger(__name__)


class Session:
    """A client that is in; see the module header.

    Args:
        connection: its socket.
        row: who it is.
        services: what sessions share.
    """

    __slots__ = (
        "_answered",
        "_asker",
        "_codec",
        "_connection",
        "_ended",
        "_group",
        "_life",
        "_outbox",
        "_questions",
        "_request_bytes",
        "_requests",
        "_sender",
        "_services",
        "_subscribing",
        "_walker",
        "participant",
        "sign",
        "watch",
    )

    def __init__(self, connection: ServerConnection, row: ParticipantRow, services: Services) -> None:
        self.participant = row.id
        self.sign = row.sign
        self.watch = Watch(row.id, services.authority)
        self._connection = connection
        self._codec = codec_of(connection)
        self._services = services
        self._outbox = Outbox(services.limits.queue_bytes, services.limits.queue_frames)
        self._asker = Asker(row.id, self.tell)
        self._group: asyncio.TaskGroup | None = None
        self._life: asyncio.Timeout | None = None
        self._sender: asyncio.Task[None] | None = None
        self._walker: asyncio.Task[None] | None = None
        self._ended: tuple[int, str] | None = None
        self._subscribing = asyncio.Lock()  # held while a subscription is set up: one at a time
        self._requests = 0
        self._request_bytes = 0
        self._answered = asyncio.Event()
        self._questions = asyncio.Semaphore(services.limits.questions)  # held while the database is asked for one

    def __repr__(self) -> str:
        return f"<Session of {encode_id(self.participant)[:8]}: {self._outbox!r}, {self._requests} requests>"

    # What the pusher does with it.

    @property
    def has_room(self) -> bool:
        """Whether the queue takes more entries."""
        return self._outbox.has_room

    def push(self, shared: Shared) -> None:
        """Send what several sessions get."""
        self.send_frame(shared.frame(self._codec))

    def tell(self, message: Message) -> None:
        """Send a message; where it puts a subject behind, its backlog follows."""
        self.send_frame(self._codec.frame(message))
        self.wake()

    def send_frame(self, frame: bytes) -> None:
        """Queue a frame, which is written in this turn if the socket takes more; a full queue ends the session."""
        if self._outbox.is_empty:
            self._services.pusher.turn.add(self)
        if not self._outbox.put(frame):
            self.end(SLOW_READER, "reading too slowly: resume from your cursor")

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it; a sender sees to the rest."""
        connection, outbox = self._connection, self._outbox
        transport = connection.transport
        while not (outbox.is_empty or connection.paused):
            frames = outbox.take(WRITE_LIMIT)
            if connection.state is not State.OPEN or transport.is_closing():
                continue  # nothing follows a close frame
            if len(frames) == 1:
                transport.write(frames[0])
            else:
                transport.writelines(frames)
        if not outbox.is_empty and self._sender is None:
            self._sender = self._start(self._send)

    def wake(self) -> None:
        """There may be backlog to send."""
        if self._walker is None and self.watch.passes:
            self._walker = self._start(self._walk)

    def end(self, code: int, reason: str) -> None:
        """Close the session; only the first reason counts."""
        if self._ended is None:
            self._ended = code, reason
            if self._life is not None:
                self._life.reschedule(0)

    def _start(self, work: Callable[[], Coroutine[None, None, None]]) -> asyncio.Task[None] | None:
        if self._group is None:
            return None
        running = work()
        try:
            return self._group.create_task(running)
        except RuntimeError:  # the group is going down: another of its tasks has failed
            running.close()
            return None

    # Its life.

    async def run(self) -> None:
        """Serve the client until it leaves or is cut off."""
        services = self._services
        services.pusher.join(self)
        self._end_if_late()
        services.metrics.sessions.inc()
        try:
            async with asyncio.timeout(0 if self._ended else None) as self._life, asyncio.TaskGroup() as self._group:
                await self._read(self._group)  # whatever ends it has called `end`, which ends the other tasks
        except* (ConnectionClosed, TimeoutError):
            pass
        finally:
            self._life = self._group = None
            services.pusher.leave(self)
            services.outcomes.leave(self.participant, self.tell)
            services.requests.leave(self.tell)
            services.metrics.sessions.dec()
        code, reason = self._ended or (_CLOSED_BY_CLIENT, "")
        if code != _CLOSED_BY_CLIENT:
            services.metrics.closes.labels(code).inc()
            _LOG.info("session ended", participant=encode_id(self.participant), code=code)
        self.flush()
        await self._connection.close(code, reason)

    def _end_if_late(self) -> None:
        """A suspension or rotation that was applied while the greeting was sent found no session to end."""
        authority = self._services.authority
        row = authority.participant(self.participant)
        if authority.is_suspended(self.participant):
            self.end(ACCESS_ENDED, "suspended")
        elif row is None or row.sign != self.sign:
            self.end(GOING_AWAY, "the key was rotated: sign in with the new one")

    async def _send(self) -> None:
        try:
            while not self._outbox.is_empty:
                async with asyncio.timeout(self._services.limits.stall_s):
                    await self._connection.drain()
                self.flush()
        except TimeoutError:
            self.end(SLOW_READER, "not reading: resume from your cursor")
        except OSError:
            pass  # the line is dead; the reader hears of it
        finally:
            self._sender = None

    # Backlog.

    async def _walk(self) -> None:
        try:
            while (todo := self.watch.next_page()) is not None:
                if isinstance(todo, PageWanted):
                    try:
                        await self._send_page(todo)
                    except TransportError:
                        await asyncio.sleep(_RETRY_S)  # PostgreSQL is away; the pass is where it was
                else:
                    for message in todo:
                        self.send_frame(self._codec.frame(message))
        finally:
            self._walker = None

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
                self.send_frame(self._codec.frame(push_message(entry, is_backlog=True)))
                self._services.metrics.pushes.labels("backlog").inc()
            for message in said:
                self.send_frame(self._codec.frame(message))

    # Requests.

    async def _read(self, group: asyncio.TaskGroup) -> None:
        limits = self._services.limits
        try:
            async for frame in self._connection:
                message = self._codec.decode(frame)
                number = request_id(message)
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
                fields = await self._ask(request)
                self.send_frame(self._codec.frame({"type": "reply", "id": number, **fields}))
        except BadRequestError as exc:
            result = self._refuse(number, "bad_request", str(exc))
        except RefusedError as exc:
            result = self._refuse(number, exc.reason, exc.detail)
        except TurnedAwayError as exc:
            result = self._refuse(number, exc.reason, exc.detail, retry_after=int(exc.retry_after_s))
        except TransportError as exc:
            result = self._refuse(number, "unavailable", str(exc))
        finally:
            self._requests -= 1
            self._request_bytes -= size
            self._answered.set()
        known = request["type"] if result != "unsupported" else "other"  # a client must not make up labels
        self._services.metrics.requests.labels(known, result).inc()

    async def _ask(self, request: Message) -> Message:
        requests = self._services.requests
        if request["type"] in WAITING:
            return await requests.answer(self._asker, request)
        async with self._questions:
            return await requests.answer(self._asker, request)

    def _refuse(self, number: int, reason: str, detail: str, **more: int) -> str:
        said = {"type": "error", "id": number, "reason": str(reason), "detail": detail, **more}
        self.send_frame(self._codec.frame(said))
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
                    since = await fetch_since(services.store, services.authority, cursor, self.participant, clock_ms())
                said = self.watch.finish(cursor, since, clock_ms())
            except BaseException:
                for message in self.watch.cancel():
                    self.tell(message)
                raise
            self.send_frame(self._codec.frame({"id": number, **said}))
            if not self.watch.passes:
                self.send_frame(self._codec.frame(self.watch.level()))
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
