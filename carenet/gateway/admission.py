"""What may enter: a rate for each participant, and nothing but control statements while the node is behind.

Publishers that write to Kafka themselves cannot be refused here. They ask this gateway for their outcomes, and are told
`slow_down` on that connection, every second while it lasts and once when it is over; who does not listen is bounded by
Kafka's own quotas.

Control statements are let through: they are few, and a withdrawal of access or an emergency must not wait because a
laboratory sends a year's results.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping

import structlog

from carenet.bus.ends import TopicEnds
from carenet.bus.security import KafkaAt
from carenet.errors import SetupError, TransportError
from carenet.gateway.limits import Limits, TokenBucket, TurnedAwayError
from carenet.gateway.messages import Message
from carenet.gateway.metrics import Metrics
from carenet.gateway.pressure import Pressure
from carenet.statements.genesis import Genesis

OVERLOADED, RATE_LIMITED = "overloaded", "rate_limited"

_LOOK_S = 0.25
_TELL_S = 1.0
_RETRY_S = 1.0
_MANY_BUCKETS = 10_000
_CARE = "care."
_LOG = structlog.get_logger(__name__)

Tell = Callable[[Message], None]


class Admission:
    """See the module header.

    Args:
        genesis: names the topic.
        limits: rates, and how far the node may be behind.
        metrics: where pressure and refusals are shown.
        decided: first undecided offset by partition; kept up to date by whoever follows the log.
    """

    def __init__(self, genesis: Genesis, limits: Limits, metrics: Metrics, decided: Mapping[int, int]) -> None:
        self._genesis = genesis
        self._limits = limits
        self._metrics = metrics
        self._decided = decided
        self._buckets: dict[bytes, TokenBucket] = {}
        self._publishers: set[Tell] = set()
        self._told_s = 0.0
        self.pressure = Pressure(limits.max_wait_s)

    def __repr__(self) -> str:
        return f"<Admission: {self.pressure!r}, {len(self._publishers)} publishers>"

    def check_rate(self, participant: bytes) -> None:
        """Count one statement that a participant brings.

        Raises:
            TurnedAwayError: `rate_limited`: it brings too many.
        """
        if len(self._buckets) > _MANY_BUCKETS:
            now_s = time.monotonic()
            self._buckets = {each: bucket for each, bucket in self._buckets.items() if not bucket.is_full(now_s)}
        bucket = self._buckets.get(participant)
        if bucket is None:
            bucket = TokenBucket(self._limits.publish_per_s, self._limits.publish_burst, time.monotonic())
            self._buckets[participant] = bucket
        wait_s = bucket.take(time.monotonic())
        if wait_s:
            self._metrics.refuse(RATE_LIMITED)
            said = (
                f"more than {self._limits.publish_per_s:g} statements a second: send them evenly, or straight to Kafka"
            )
            raise TurnedAwayError(RATE_LIMITED, said, max(1, math.ceil(wait_s)))

    def check_pressure(self, event_type: str) -> None:
        """Refuse care data while the node is behind.

        Raises:
            TurnedAwayError: `overloaded`.
        """
        if self.pressure.is_on and event_type.startswith(_CARE):
            self._metrics.refuse(OVERLOADED)
            said = f"the node is {self.pressure.wait_s:.0f} s behind: send the same bytes again later"
            raise TurnedAwayError(OVERLOADED, said, self.pressure.retry_after_s)

    def follow(self, tell: Tell) -> None:
        """A session publishes: tell it when to slow down, at once if that is now."""
        if tell not in self._publishers:
            self._publishers.add(tell)
            if self.pressure.is_on:
                tell(self._message())

    def leave(self, tell: Tell) -> None:
        """Stop telling."""
        self._publishers.discard(tell)

    async def run(self, kafka: KafkaAt) -> None:
        """Look a few times a second how far the fold is behind; until cancelled."""
        while True:
            try:
                async with TopicEnds(kafka, self._genesis.topic, self._genesis.partitions) as ends:
                    while True:
                        self.observe(time.monotonic(), await ends.fetch())
                        await asyncio.sleep(_LOOK_S)
            except (TransportError, SetupError) as exc:
                _LOG.debug("kafka away", error=str(exc))  # `publish` says so to whoever asks
            self.pressure.forget()
            self._show()
            await asyncio.sleep(_RETRY_S)

    def observe(self, now_s: float, ends: Mapping[int, int]) -> None:
        """Take one look, and tell publishers what it means for them."""
        was_on = self.pressure.is_on
        self.pressure.observe(now_s, ends, self._decided)
        self._show()
        if self.pressure.is_on != was_on:
            _LOG.info("behind" if self.pressure.is_on else "caught up", undecided=self.pressure.undecided)
        if self.pressure.is_on != was_on or (self.pressure.is_on and now_s - self._told_s >= _TELL_S):
            self._told_s = now_s
            for tell in list(self._publishers):
                tell(self._message())

    def _message(self) -> Message:
        return {"type": "slow_down", "retry_after": self.pressure.retry_after_s}

    def _show(self) -> None:
        self._metrics.undecided.set(self.pressure.undecided)
        self._metrics.wait.set(self.pressure.wait_s)
        self._metrics.fold_rate.set(self.pressure.rate)
        self._metrics.overloaded.set(self.pressure.is_on)
