"""The service `exposition`: what this process counts and how it is, over HTTP, where CARENET_METRICS_PORT says so."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mode import Service

from carenet.node.exposition import serving_metrics

if TYPE_CHECKING:
    from streams.app import CarenetApp


def attach(app: CarenetApp) -> None:
    """Add the service that answers `/metrics` and `/health`; without a port there is none."""
    settings = app.site.settings
    if settings.metrics_port is None:
        return
    serving = partial(serving_metrics, settings.metrics_host, settings.metrics_port)

    @app.service
    class Exposition(Service):
        async def on_start(self) -> None:
            await self.add_async_context(serving(app.registry, app.read_health))
