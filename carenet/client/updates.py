"""What a watcher gets: updates, opened where it holds the key, and notices about its subscription."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from carenet.client.drafts import FHIR_JSON
from carenet.encoding.ids import encode_id
from carenet.ledger.entry import Entry
from carenet.statements.statement import Statement


@dataclass(frozen=True)
class Update:
    """One entry of a timeline that the watcher may read: verified, and opened where it holds the key.

    Attributes:
        statement: the signed statement; its issuer's signature holds.
        entry: its place in its subject's chain.
        partition: the log that holds it.
        index: its place there.
        body: the sealed content or wraps, or None.
        content: the opened content in the bytes that were published; None for control statements, and where `fault`
            says why not.
        fault: why there is no content: no key, or a body that does not open.
        is_backlog: whether it was there before the watcher came.
        received_ms: when it was opened here, ms since 1970.
    """

    statement: Statement = field(repr=False)
    entry: Entry = field(repr=False)
    partition: int
    index: int
    body: bytes | None = field(repr=False)
    content: bytes | None = field(repr=False)
    fault: str | None
    is_backlog: bool
    received_ms: int

    @cached_property
    def patient(self) -> str:
        """The subject's id as text."""
        return encode_id(self.entry.subject)

    @cached_property
    def issuer(self) -> str:
        """The id of the participant that signed, as text."""
        return encode_id(self.statement.header.issuer)

    @property
    def type(self) -> str:
        """The event type."""
        return self.statement.header.type

    @property
    def seq(self) -> int:
        """Place in the subject's chain."""
        return self.entry.seq

    @property
    def digest(self) -> bytes:
        """The statement's name, 32 bytes."""
        return self.entry.digest

    @property
    def time_ms(self) -> int:
        """When the log took it, ms since 1970."""
        return self.entry.log_time_ms

    @property
    def latency_ms(self) -> int:
        """From the broker's clock to opened here, by two clocks; meaningless for backlog."""
        return self.received_ms - self.entry.log_time_ms

    @cached_property
    def resource(self) -> dict[str, Any] | None:
        """The FHIR resource, or None where the content is absent or something else."""
        if self.content is None or self.statement.header.content_type != FHIR_JSON:
            return None
        try:
            parsed = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            return None  # a publisher may seal anything; `content` still has it
        return parsed if isinstance(parsed, dict) else None


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """These subjects' backlog is delivered; from here on they are live.

    Attributes:
        patients: ids as text.
        everything: whether no subject is behind any longer.
    """

    patients: tuple[str, ...]
    everything: bool


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The watcher's access to a subject ended, exactly here in the order of entries.

    Attributes:
        patient: its id as text.
    """

    patient: str


Event = Update | CaughtUp | Withdrawn
