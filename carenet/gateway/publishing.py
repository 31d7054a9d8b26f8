"""Publishing for those who cannot reach Kafka: the stateless checks, then one send.

Any statement may be carried: the signature inside decides, not who brings it. What can be refused here without the
log's state is refused with the fold's own reason codes, before it costs a record.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from carenet.bus.publishing import Publisher, Sent
from carenet.bus.security import KafkaAt
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError, RefusedError, StatementError, TransportError
from carenet.gateway.admission import Admission
from carenet.rules.prepare import RawRecord, prepare, scope_of
from carenet.rules.reasons import Reason
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, encode_record, partition_of
from carenet.statements.statement import parse_statement


class Publishing:
    """Carries statements to Kafka; an async context manager.

    It opens its connection with the first statement, so a gateway serves its readers while Kafka is away.

    Args:
        kafka: where Kafka is and how to log in, or None where this gateway publishes nothing.
        genesis: the network's.
        admission: what may enter.
    """

    def __init__(self, kafka: KafkaAt | None, genesis: Genesis, admission: Admission) -> None:
        self.admission = admission
        self._kafka = kafka
        self._genesis = genesis
        self._publisher: Publisher | None = None
        self._opening = asyncio.Lock()  # held while connecting, so that it happens once
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Publishing over {self._publisher!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def publish(self, participant: bytes, statement: bytes, body: bytes | None) -> Sent:
        """Check what can be checked without state, and send.

        Args:
            participant: who brings it, 32 bytes; not always who signed it.
            statement: encoded.
            body: what travels beside it.

        Raises:
            TurnedAwayError: it brings too many, or the node is behind.
            RefusedError: a stateless check failed.
            BadInputError: larger than Kafka takes.
            TransportError: Kafka did not answer; the record may still arrive.
        """
        self.admission.check_rate(participant)
        subject, value = self._check(statement, body)
        publisher = self._publisher or await self._open()
        return await publisher.publish(subject, value)

    def _check(self, encoded: bytes, body: bytes | None) -> tuple[bytes, RecordValue]:
        value = RecordValue(encoded, body)
        try:
            header = parse_statement(encoded).header
        except EncodingError as exc:
            raise RefusedError(Reason.BAD_ENCODING, str(exc)) from exc
        except StatementError as exc:
            raise RefusedError(Reason.BAD_STATEMENT, str(exc)) from exc
        self.admission.check_pressure(header.type)
        key = encode_id(header.subject)
        partition = partition_of(key, encode_id(self._genesis.network_id), self._genesis.partitions)
        record = RawRecord(0, key.encode(), encode_record(value), 0, is_log_append_time=True)
        prepared = prepare(record, scope_of(self._genesis, partition))
        if prepared.fault is not None:
            raise RefusedError(*prepared.fault)
        if prepared.body_fault is not None:
            raise RefusedError(prepared.body_fault, "body")
        return header.subject, value

    async def _open(self) -> Publisher:
        if self._kafka is None:
            raise TransportError("this gateway was given no Kafka to publish to")
        async with self._opening:
            if self._publisher is None:
                publisher = Publisher(self._kafka, self._genesis)
                self._publisher = await self._stack.enter_async_context(publisher)
            return self._publisher
