"""Whether the topic is still the one that was folded: the last decided record must be there, and be the same.

A topic that ends before what PostgreSQL says was decided, or holds another record there, has lost acknowledged history
(an unclean leader election, a topic made anew, another cluster): folding on would fork the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from carenet.bus.looking import fetch_records
from carenet.bus.security import KafkaAt
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError
from carenet.rules.effects import KEPT_BYTES
from carenet.rules.prepare import RawRecord
from carenet.rules.rows import PartitionState
from carenet.statements.records import decode_record
from carenet.store.queries import Queries
from carenet.store.stored import StoredEntry, StoredRejection

_TRIES = 5  # a broker that just came back may not have found its log's end yet
_BETWEEN_S = 0.5


async def find_breaks(queries: Queries, kafka: KafkaAt, topic: str, states: Iterable[PartitionState]) -> dict[int, str]:
    """The partitions whose topic is not the one that was folded, with what is wrong.

    Args:
        queries: the store.
        kafka: where Kafka is, and how to log in.
        topic: the events topic.
        states: how far each partition was folded.

    Raises:
        TransportError: Kafka or PostgreSQL does not answer.
        SetupError: there is no such topic.
    """
    places = {state.partition: state.next_offset - 1 for state in states if state.next_offset > 0}
    breaks: dict[int, str] = {}
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(_BETWEEN_S)
        found = await fetch_records(kafka, topic, places) if places else {}
        breaks = {}
        for partition, record in found.items():
            fault = compare(record, await queries.outcome_at(partition, places[partition]))
            if fault is not None:
                breaks[partition] = f"at offset {places[partition]} {fault}"
        places = {partition: places[partition] for partition in breaks}
        if not breaks:
            break
    return breaks


def compare(record: RawRecord | None, outcome: StoredEntry | StoredRejection | None) -> str | None:
    """How the topic's record differs from what was decided at its offset; None if it is the one.

    Of a refused record its first 1,024 bytes are compared, of an accepted one its statement's hash.
    """
    if outcome is None:
        return "the store says that a record was decided, and does not say how"
    if record is None:
        return "the topic has no record any more"
    if isinstance(outcome, StoredRejection):
        return None if (record.value or b"")[:KEPT_BYTES] == outcome.head else "the topic has another record"
    try:
        digest = sha256(decode_record(record.value or b"").statement)
    except EncodingError:
        return "the topic has another record"
    return None if digest == outcome.digest else "the topic has another record"
