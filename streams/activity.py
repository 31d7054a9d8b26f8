"""The processor `activity`: figures around each patient in a table, which a task keeps in PostgreSQL too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carenet.encoding.ids import encode_id
from carenet.node.activity import Mirror, run_mirror

if TYPE_CHECKING:
    from streams.app import CarenetApp


def attach(app: CarenetApp) -> None:
    """Add the agent that counts, its table, and the task that mirrors it."""
    site = app.site
    name, partitions = site.topics.entries.name, site.genesis.partitions
    entries = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    table = app.Table("activity", key_type=str, partitions=partitions)
    network_key = encode_id(site.genesis.network_id).encode()
    mirror = Mirror()
    app.agents_metrics.watch_unwritten(lambda: mirror.unwritten)

    @app.agent(entries, name=f"{site.app_id}.activity")
    async def activity(stream: Any) -> None:
        async for event in stream.events():
            if event.message.key == network_key:
                continue
            app.agents_metrics.count("activity")
            key = event.message.key.decode()
            after = mirror.take(table.get(key), event.value)
            if after is not None:
                table[key] = after

    @table.on_recover
    async def note_all() -> None:
        mirror.note_all(table.values())

    async def run() -> None:
        await run_mirror(site.postgres, mirror)

    app.task(run)
