"""The processor `relay`: a network statement that partition 0 accepted wakes the relay to the other partitions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faust.types import TP

from carenet.encoding.ids import encode_id
from carenet.node.relay import run_relay
from carenet.statements.records import NETWORK_PARTITION

if TYPE_CHECKING:
    from streams.app import CarenetApp


def attach(app: CarenetApp) -> None:
    """Add the agent that wakes and the task that relays."""
    site = app.site
    name = site.topics.entries.name
    entries = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    network_key = encode_id(site.genesis.network_id).encode()
    woken = asyncio.Event()

    @app.agent(entries, name=f"{site.app_id}.relay")
    async def relay(stream: Any) -> None:
        async for event in stream.events():
            if event.message.partition == NETWORK_PARTITION and event.message.key == network_key:
                app.agents_metrics.count("relay")
                woken.set()

    async def run() -> None:
        def is_mine() -> bool:
            return TP(name, NETWORK_PARTITION) in app.consumer.assignment()

        await run_relay(site.postgres, site.kafka, site.genesis, woken, is_mine)

    app.task(run)
