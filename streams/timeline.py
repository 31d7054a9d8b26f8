"""The processor `timeline`: the fold worker as a service of the app, with a Kafka consumer group of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mode import Service

from carenet.node.config import WorkerConfig
from carenet.node.identity import load_node_keys
from carenet.node.worker import FoldWorker

if TYPE_CHECKING:
    from streams.app import CarenetApp


def attach(app: CarenetApp) -> None:
    """Add the service that folds as long as the app runs; what ends the worker ends the app.

    Raises:
        KeyFileError: the node's key file is missing or does not open.
    """
    site, settings = app.site, app.site.settings
    passphrase = settings.passphrase.get_secret_value() if settings.passphrase else None
    keys = load_node_keys(settings.dir / "node.key", passphrase)
    entries = settings.entries_topic
    config = WorkerConfig(site.kafka, site.postgres, site.genesis, settings.node, keys, entries_topic=entries)
    worker = FoldWorker(config)
    app.registry = worker.metrics.registry
    app.read_health = lambda: worker.health().describe()

    @app.service
    class Timeline(Service):
        async def on_start(self) -> None:
            self.ended = asyncio.Event()

        @Service.task
        async def _fold(self) -> None:
            try:
                await worker.run()
            finally:
                self.ended.set()

        async def on_stop(self) -> None:
            """Let commits under way be finished and the partitions be given back, before tasks are cancelled."""
            worker.stop()
            await self.ended.wait()
