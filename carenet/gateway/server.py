"""The gateway put together: stores, view, feed, and the WebSocket server in front.

    async with Gateway(GatewayConfig(dsn="postgresql://…", kafka="127.0.0.1:9092")) as gateway:
        print(gateway.url)
        await gateway.wait()

On start it reads heads, participants, subjects and grants of one moment; no history. Everything else it knows is in
PostgreSQL, so any number of gateways may serve one node, and a client may resume at another one.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from carenet.bus.security import KafkaAt
from carenet.gateway.admission import Admission
from carenet.gateway.authority import Authority
from carenet.gateway.describe import Describer
from carenet.gateway.door import Door
from carenet.gateway.feed import Feed, load_authority, watch_expiry
from carenet.gateway.greeting import authenticate
from carenet.gateway.http import Pages
from carenet.gateway.limits import Limits
from carenet.gateway.messages import CODECS
from carenet.gateway.metrics import Metrics
from carenet.gateway.outcomes import Outcomes
from carenet.gateway.publishing import Publishing
from carenet.gateway.push import GOING_AWAY, Pusher
from carenet.gateway.requests import Requests
from carenet.gateway.services import Services
from carenet.gateway.session import WRITE_LIMIT, Session
from carenet.gateway.tls import TlsFiles, make_context
from carenet.store.store import Store

_FEED_CONNECTIONS = 2  # apart from clients' questions, so that these never make the feed wait
_QUESTION_CONNECTIONS = 6
_READ_AHEAD = 4  # frames


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """How a gateway runs.

    Attributes:
        dsn: the node's database; it must have been seeded.
        kafka: where Kafka is, for `publish`; None publishes nothing.
        host: address to bind.
        port: port to bind; 0 takes a free one.
        shares_port: lets other gateways of this user bind the same port; the kernel spreads the connections.
        own_port: a second port that no other gateway has, to ask this one how it is; None binds none.
        origin: the address as clients dial it, `ws://host:port`; None takes what was bound.
        tls: certificate files, which make it `wss://`; None serves without TLS.
        limits: what a client may cost.
    """

    dsn: str = field(repr=False)
    kafka: KafkaAt | None = None
    host: str = "127.0.0.1"
    port: int = 0
    shares_port: bool = False
    own_port: int | None = None
    origin: str | None = None
    tls: TlsFiles | None = None
    limits: Limits = field(default_factory=Limits)


class Gateway:
    """A running gateway; an async context manager.

    Args:
        config: how it runs.

    Raises:
        TransportError: on entering, if PostgreSQL does not answer.
        SetupError: on entering, if the database was not made or seeded, or a certificate file is not what it should be.
        OSError: on entering, if the port is taken.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._services: Services | None = None

    def __repr__(self) -> str:
        return f"<Gateway at {self.url}: {self._services.feed if self._services else 'closed'}>"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self._services.origin if self._services else "nowhere"

    @property
    def is_healthy(self) -> bool:
        """Whether it hears of what is committed."""
        return self._services is not None and self._services.feed.is_connected

    async def wait(self) -> None:
        """Serve until cancelled.

        Raises:
            CorruptionError: the database does not continue what was read; nothing more is served.
        """
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _start(self) -> None:
        config, stack = self.config, self._stack
        feed_store = await stack.enter_async_context(Store(config.dsn, _FEED_CONNECTIONS))
        store = await stack.enter_async_context(Store(config.dsn, _QUESTION_CONNECTIONS))
        genesis = await store.fetch_genesis()
        authority, next_offsets = await load_authority(feed_store, genesis.partitions)
        pages_store = await stack.enter_async_context(Store(config.dsn, 1))
        pusher = Pusher(authority, self.metrics)
        outcomes = Outcomes(store, next_offsets)
        admission = Admission(genesis, config.limits, self.metrics, outcomes.decided)
        publishing = await stack.enter_async_context(Publishing(config.kafka, genesis, admission))
        feed = Feed(feed_store, authority, pusher, outcomes, config.limits.poll_s)
        describer = Describer(store, authority, config.limits.proof_s)
        requests = Requests(describer, outcomes, publishing, genesis.partitions)
        door = Door(config.limits, self.metrics)
        pages = Pages(feed, pages_store, genesis.partitions, door=door, metrics=self.metrics, limits=config.limits)
        stack.push_async_callback(self._stop_following)
        servers = [await self._bind(pages, door, config.port, shared=config.shares_port)]
        stack.push_async_callback(self._close_sessions, servers)
        if config.own_port is not None:
            servers.append(await self._bind(pages, door, config.own_port))
        origin = config.origin or self._bound_at(servers[0])
        self._services = Services(
            genesis=genesis,
            origin=origin,
            limits=config.limits,
            door=door,
            store=store,
            authority=authority,
            feed=feed,
            pusher=pusher,
            outcomes=outcomes,
            requests=requests,
            metrics=self.metrics,
        )
        self._follow(feed, authority, pusher, admission)
        for server in servers:
            await server.start_serving()

    def _bound_at(self, server: Server) -> str:
        scheme = "ws" if self.config.tls is None else "wss"
        return f"{scheme}://{self.config.host}:{server.sockets[0].getsockname()[1]}"

    async def _bind(self, pages: Pages, door: Door, port: int, *, shared: bool = False) -> Server:
        limits, files = self.config.limits, self.config.tls
        return await serve(
            self._handle,
            self.config.host,
            port,
            reuse_port=shared or None,
            subprotocols=[Subprotocol(each) for each in CODECS],
            compression=None,  # sealed bytes do not compress
            process_request=pages.process_request,
            create_connection=door.make_kind(),
            ssl=None if files is None else make_context(files, self.metrics.refuse),
            server_header=None,
            ssl_handshake_timeout=None if files is None else limits.hello_s,
            open_timeout=limits.hello_s,
            close_timeout=limits.close_s,
            max_size=limits.max_hello,  # until somebody has said who it is
            max_queue=_READ_AHEAD,
            write_limit=WRITE_LIMIT,
            start_serving=False,
        )

    async def _handle(self, connection: ServerConnection) -> None:
        services = self._services
        assert services is not None, "nothing is served before all is put together"
        row = await authenticate(connection, services)
        if row is not None:
            with services.door.inside(connection, row.id):
                await Session(connection, row, services).run()

    def _follow(self, feed: Feed, authority: Authority, pusher: Pusher, admission: Admission) -> None:
        # Owned: cancelled and awaited when the stack unwinds. A task group would wrap what the caller's block raises.
        self._tasks = [asyncio.create_task(feed.run()), asyncio.create_task(watch_expiry(authority, pusher))]
        if self.config.kafka is not None:
            self._tasks.append(asyncio.create_task(admission.run(self.config.kafka)))

    async def _stop_following(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close_sessions(self, servers: list[Server]) -> None:
        for server in servers:
            server.close(code=GOING_AWAY, reason="the gateway goes away: resume from your cursor")
        for server in servers:
            await server.wait_closed()
