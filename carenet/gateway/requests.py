"""What a session may ask once it is in, apart from `subscribe`: one method a request, each returning its reply.

A request's errors are answered, never fatal: `bad_request` for ill-formed fields, the rules' codes where they say no,
`unavailable` when a server behind the gateway does not answer, `unsupported` for what this version does not know.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from carenet.encoding.ids import ID_BYTES
from carenet.errors import BadInputError, RefusedError
from carenet.gateway.describe import Describer
from carenet.gateway.messages import BadRequestError, Message, get_bytes, get_count, get_id
from carenet.gateway.outcomes import Outcomes, Tell, accepted, refused, stale_statement
from carenet.gateway.publishing import Publishing
from carenet.rules.reasons import Reason
from carenet.store.stored import StoredRejection

UNSUPPORTED = "unsupported"
WAITING = frozenset({"publish", "outcomes"})  # these wait for Kafka and the fold rather than work


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks.

    Attributes:
        participant: 32 bytes.
        tell: pushes a message to its session.
    """

    participant: bytes
    tell: Tell


class Requests:
    """See the module header.

    Args:
        describer: answers with proof.
        outcomes: what became of statements.
        publishing: the way to Kafka.
        partitions: the network's partition count.
    """

    def __init__(self, describer: Describer, outcomes: Outcomes, publishing: Publishing, partitions: int) -> None:
        self._describer = describer
        self._outcomes = outcomes
        self._publishing = publishing
        self._partitions = partitions
        self._handlers: dict[str, Callable[[Asker, Message], Awaitable[Message]]] = {
            "publish": self._publish,
            "outcomes": self._tell_outcome,
            "describe": self._describe,
            "grants": self._grants,
            "keys": self._keys,
            "receipt": self._receipt,
            "checkpoint": self._checkpoint,
        }

    def __repr__(self) -> str:
        return f"<Requests: {', '.join(self._handlers)}>"

    async def answer(self, asker: Asker, request: Message) -> Message:
        """The reply's fields.

        Raises:
            BadRequestError: an ill-formed field.
            RefusedError: the rules say no, or the request is not known.
            TurnedAwayError: not now.
            TransportError: PostgreSQL or Kafka does not answer.
        """
        handler = self._handlers.get(request["type"])
        if handler is None:
            raise RefusedError(UNSUPPORTED, "this gateway does not know the request")
        return await handler(asker, request)

    def leave(self, tell: Tell) -> None:
        """A session is gone."""
        self._publishing.admission.leave(tell)

    async def _publish(self, asker: Asker, request: Message) -> Message:
        statement = get_bytes(request, "statement")
        body = None if request.get("body") is None else get_bytes(request, "body")
        self._publishing.admission.follow(asker.tell)
        try:
            sent = await self._publishing.publish(asker.participant, statement, body)
        except BadInputError as exc:
            raise RefusedError(Reason.OVERSIZED, str(exc)) from exc
        return {"partition": sent.partition, "offset": sent.offset}

    async def _tell_outcome(self, asker: Asker, request: Message) -> Message:
        if request.get("follow") is True:
            self._outcomes.follow(asker.participant, asker.tell)
            return {}
        self._publishing.admission.follow(asker.tell)  # who asks about places writes to Kafka
        partition, offset = get_count(request, "partition"), get_count(request, "offset")
        digest = None if request.get("digest") is None else get_bytes(request, "digest", ID_BYTES)
        found = await self._outcomes.find(partition, offset, digest)
        if not isinstance(found, StoredRejection):
            return {"outcome": accepted(found, is_signer=found.issuer == asker.participant)}
        is_signer = found.is_proven and found.issuer == asker.participant
        outcome = refused(found, is_signer=is_signer)
        stale = stale_statement(found) if is_signer else None
        if stale is not None:
            epoch = await self._describer.epoch(stale.header.subject, stale.header.compartment)
            outcome["refused"] |= {"epoch": epoch} if epoch else {}
        return {"outcome": outcome}

    async def _describe(self, asker: Asker, request: Message) -> Message:
        if "subject" in request:
            return await self._describer.subject(get_id(request, "subject"))
        if "participant" in request:
            return await self._describer.participant(get_id(request, "participant"))
        if request.get("participants") is True:
            return self._describer.participants()
        if request.get("subjects") is True:
            return self._describer.subjects(asker.participant, clock_ms())
        raise BadRequestError("describe names a subject, a participant, participants or subjects")

    async def _grants(self, asker: Asker, request: Message) -> Message:
        return self._describer.grants(get_id(request, "subject"), asker.participant, clock_ms())

    async def _keys(self, asker: Asker, request: Message) -> Message:
        return await self._describer.keys(get_id(request, "subject"), asker.participant)

    async def _receipt(self, _asker: Asker, request: Message) -> Message:
        return await self._describer.receipt(get_bytes(request, "digest", ID_BYTES))

    async def _checkpoint(self, _asker: Asker, request: Message) -> Message:
        partition = get_count(request, "partition")
        if partition >= self._partitions:
            raise BadRequestError("partition is one of the network's")
        return {"checkpoint": await self._describer.checkpoint(partition)}


def clock_ms() -> int:
    """The gateway's clock, milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
