"""`python -m carenet.gateway`: one gateway in the foreground, told by `CARENET_…` variables (carenet/settings.py).

It logs JSON lines, ids and counts only, to stderr; the first says where it listens. SIGTERM and SIGINT close the
sessions with a resumable code and end it with 0. It waits a while for a database that is being started or seeded, and
ends with 1 when there is none, or when what it reads does not continue what it has pushed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time

import structlog
import uvloop

from carenet.bus.security import login_of
from carenet.errors import CarenetError, SetupError, TransportError
from carenet.gateway.limits import Limits
from carenet.gateway.openfiles import raise_open_files
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.gateway.tls import read_files
from carenet.logs import set_up_logging
from carenet.settings import Settings

_START_S = 30.0  # a database may be recovering, or not be seeded yet
_RETRY_S = 0.25
_LOG = structlog.get_logger("carenet.gateway")


def read_config(settings: Settings) -> GatewayConfig:
    """The gateway's part of the settings.

    Raises:
        SetupError: no database is named, or only half of a login for Kafka.
    """
    if settings.postgres is None:
        raise SetupError("the gateway needs a database: set CARENET_POSTGRES")
    return GatewayConfig(
        dsn=str(settings.postgres),
        kafka=login_of(settings),
        host=settings.gateway_host,
        port=settings.gateway_port,
        shares_port=settings.gateway_shares_port,
        own_port=settings.metrics_port,
        origin=settings.gateway_origin,
        limits=Limits(
            sessions=settings.gateway_sessions,
            sessions_each=settings.gateway_sessions_each,
            greeting=settings.gateway_greeting,
            publish_per_s=settings.gateway_publish_rate,
            publish_burst=settings.gateway_publish_burst,
            max_wait_s=settings.gateway_max_wait_s,
        ),
        tls=read_files(settings.tls_certificate, settings.tls_key, settings.tls_client_ca),
    )


async def serve(config: GatewayConfig) -> None:
    """Run a gateway until SIGTERM or SIGINT.

    Raises:
        CarenetError: it could not be started, or must not go on.
    """
    async with contextlib.AsyncExitStack() as stack:
        gateway = await _start(config, stack)
        _LOG.info("listening", url=gateway.url)
        waiting = asyncio.ensure_future(gateway.wait())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, waiting.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        _LOG.info("stopping")


async def _start(config: GatewayConfig, stack: contextlib.AsyncExitStack) -> Gateway:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return await stack.enter_async_context(Gateway(config))
        except (TransportError, SetupError) as exc:
            if time.monotonic() > deadline:
                raise
            _LOG.debug("waiting for the database", error=str(exc))
            await asyncio.sleep(_RETRY_S)


def main() -> int:
    """Run; the exit code."""
    settings = Settings()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")  # the libraries
    set_up_logging(settings.log_level)
    try:
        config = read_config(settings)
        too_few = raise_open_files(config.limits.sessions + config.limits.greeting)
        if too_few is not None:
            _LOG.warning("few open files", detail=too_few)
        uvloop.run(serve(config))
    except CarenetError as exc:
        _LOG.error("cannot go on", error=str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
