"""The Faust app of one process: `faust -A streams.app --loop uvloop worker`, its role named by CARENET_ROLES.

Importing this module has no effect; `app` is built from the environment when it is first asked for, and loads the
modules of its role only. Traps that the settings below avoid:
- Faust hangs for ever producing to a topic that does not exist: every topic, the tables' changelogs too, is provisioned
  before anything else starts, and Faust makes none itself.
- Its web server wants port 6066 on every address: off.
- Its session timeout is 60 s, so another process takes over late: 6 s.
- Its spinner, which turns with every log record, has all libraries make their debug records, a seventh of the agents'
  time, though none is printed: a worker without it.
- A broker that dies under it makes it ignore SIGTERM: the role `timeline` has a Kafka client of its own and starts none
  of Faust's; the others are killed by the supervisor after its grace time.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from prometheus_client import CollectorRegistry

from carenet.bus.security import MECHANISM, KafkaLogin
from carenet.bus.topics import TopicSpec, provision
from carenet.errors import SetupError, TransportError
from carenet.logs import set_up_logging
from carenet.node.metrics import AgentMetrics
from carenet.settings import Settings
from streams.site import Site, site_of

ROLES: dict[str, tuple[str, ...]] = {
    "timeline": ("streams.timeline",),
    "agents": ("streams.relay", "streams.activity"),
}
_SESSION_S = 6.0
_HEARTBEAT_S = 1.0
_REBALANCE_S = 6.0
_BEHIND_THE_FOLD = 10  # niceness: on a busy machine a count may wait, a push may not
_RETRY_S = 1.0
_COLLECT_SELDOM = (100_000, 20, 20)

_log = structlog.get_logger(__name__)


class QuietWorker(faust.Worker):
    """Faust's worker without its spinner."""

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        """Leave the level as it was asked for."""


class CarenetApp(faust.App):
    """A Faust app that makes its topics first, and no folders: its tables live in memory and their changelogs.

    Attributes:
        site: where it runs.
        agents_metrics: what its agents count.
        registry: what `/metrics` shows; the role's module may set another one than the agents'.
        read_health: what `/health` shows; the same.
    """

    site: Site
    agents_metrics: AgentMetrics
    registry: CollectorRegistry
    read_health: Callable[[], Mapping[str, object]]

    async def on_first_start(self) -> None:
        """Provision and check the topics, once, before Kafka's clients start; Kafka that is away is waited for.

        Raises:
            SetupError: a topic exists and is set otherwise than it must be.
        """
        changelogs = [
            TopicSpec(name, self.site.genesis.partitions, settings={"cleanup.policy": "compact"})
            for name in self.tables.changelog_topics
        ]
        while not self.should_stop:
            try:
                await provision(self.site.kafka, [*self.site.topics, *changelogs])
                break
            except TransportError as exc:
                _log.warning("waiting_for_kafka", error=str(exc))
                await self.sleep(_RETRY_S)


def build_app(settings: Settings) -> CarenetApp:
    """The app of a role.

    Raises:
        SetupError: a setting or the genesis is missing, or there is no such role.
    """
    site = site_of(settings)
    modules = ROLES.get(site.role)
    if modules is None:
        raise SetupError(f"CARENET_ROLES is one of {', '.join(sorted(ROLES))}; there is no role {site.role}")
    app = CarenetApp(
        site.app_id,
        broker=";".join(f"kafka://{each}" for each in site.kafka.bootstrap.split(",")),
        broker_credentials=_credentials(site.kafka),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=site.genesis.partitions,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=_SESSION_S,
        broker_heartbeat_interval=_HEARTBEAT_S,
        broker_rebalance_timeout=_REBALANCE_S,
        stream_wait_empty=False,
        worker_redirect_stdouts=False,
        Worker=QuietWorker,
    )
    app.site, app.agents_metrics = site, AgentMetrics()
    app.registry, app.read_health = app.agents_metrics.registry, partial(_read_assignment, app)
    for module in (*modules, "streams.exposition"):
        import_module(module).attach(app)
    # The command line turns the web server on again unless the strategy says no.
    app.boot_strategy = BootStrategy(app, enable_web=False, enable_kafka=bool(app.agents))
    return app


def _credentials(login: KafkaLogin) -> Credentials | None:
    """How Faust's own clients log in."""
    context = login.make_ssl_context()
    if login.username is not None:
        return SASLCredentials(
            username=login.username, password=login.password, mechanism=MECHANISM, ssl_context=context
        )
    return None if context is None else SSLCredentials(context)


def _read_assignment(app: CarenetApp) -> dict[str, object]:
    """An agents' process is well while its loop turns; Faust does not say which server is away."""
    return {"status": "ok", "assigned": sorted({each.partition for each in app.consumer.assignment()})}


@cache
def _environment_app() -> CarenetApp:
    settings = Settings()
    set_up_logging(settings.log_level)
    if settings.roles != ("timeline",):
        os.nice(_BEHIND_THE_FOLD)
    app = build_app(settings)
    # A batch is tens of thousands of objects that live until its commit and form no cycles: the collector would walk
    # them, and all modules, over and over and find nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_SELDOM)
    return app


def __getattr__(name: str) -> Any:
    if name == "app":
        return _environment_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
