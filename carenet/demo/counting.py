"""Reading one run's numbers from Kafka and the store: where it began, and what came after.

Three things are read apart from one another, so that they can be held against each other: what Kafka took (its end
offsets), what the node decided (entries and refusals), and what watchers were pushed (elsewhere).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from carenet.bus.looking import fetch_end_offsets
from carenet.bus.security import KafkaAt
from carenet.demo.expected import Logged
from carenet.errors import TransportError
from carenet.rules.reasons import Reason
from carenet.rules.rows import GrantRow, SubjectRow
from carenet.statements.genesis import Genesis
from carenet.statements.records import NETWORK_PARTITION
from carenet.store.store import Store
from carenet.store.stored import StoredEntry

_PAGE = 500
_POLL_S = 0.05
# Only nodes send relays, and a repeated one is refused so: these are no refusals of a participant's statement.
_RELAYS = frozenset({Reason.RELAY_GAP, Reason.RELAY_PROOF})


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where a run began.

    Attributes:
        sizes: entries in each partition's log.
        offsets: the first Kafka offset of each partition that belongs to the run.
    """

    sizes: Mapping[int, int]
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class RunLog:
    """What a node made of a run.

    Attributes:
        entries: all of them, relayed ones too.
        folded: statements that became entries; one that was relayed counts once.
        refused: statements that did not, by reason code.
        relayed: records that nodes sent: relays that were folded, and those that were refused.
    """

    entries: tuple[Logged, ...]
    folded: int
    refused: dict[str, int]
    relayed: int


@dataclass(frozen=True, slots=True)
class AccessRows:
    """Who may read what, as the store has it.

    Attributes:
        subjects: by id.
        grants: by subject, ended ones too.
    """

    subjects: Mapping[bytes, SubjectRow]
    grants: Mapping[bytes, Sequence[GrantRow]]


async def catch_up(kafka: KafkaAt, genesis: Genesis, store: Store, timeout_s: float) -> dict[int, int]:
    """Wait until the node has decided every record that Kafka has now; its end offsets.

    Raises:
        TransportError: it has not within the time.
    """
    ends = await fetch_end_offsets(kafka, genesis.topic)
    try:
        async with asyncio.timeout(timeout_s):
            while _is_behind(await store.next_offsets(), ends):  # noqa: ASYNC110 - another process's progress
                await asyncio.sleep(_POLL_S)
    except TimeoutError as exc:
        behind = sum(ends.values()) - sum((await store.next_offsets()).values())
        raise TransportError(f"the worker is {behind} records behind after {timeout_s:g} s; see worker.log") from exc
    return ends


def _is_behind(decided: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return any(decided.get(partition, 0) < end for partition, end in ends.items())


async def take_baseline(kafka: KafkaAt, genesis: Genesis, store: Store, timeout_s: float) -> Baseline:
    """Where a run begins: after all that earlier runs left in Kafka has been decided.

    Raises:
        TransportError: as `catch_up`.
    """
    await catch_up(kafka, genesis, store, timeout_s)
    heads = await store.heads()
    sizes = {partition: head.size for partition, head in heads.items()}
    return Baseline(sizes, {partition: head.next_offset for partition, head in heads.items()})


async def count_published(kafka: KafkaAt, genesis: Genesis, baseline: Baseline, log: RunLog) -> int:
    """Statements of participants that Kafka took since the run began."""
    ends = await fetch_end_offsets(kafka, genesis.topic)
    return sum(end - baseline.offsets.get(partition, 0) for partition, end in ends.items()) - log.relayed


async def read_run(store: Store, genesis: Genesis, baseline: Baseline) -> RunLog:
    """What the node decided since the run began."""
    network = genesis.network_id
    entries: list[Logged] = []
    refused: Counter[str] = Counter()
    relayed = 0
    for partition, began in baseline.sizes.items():
        async for row in _read_entries(store, partition, began):
            entries.append(Logged(partition, row.index, row.subject, row.seq, row.compartment))
            relayed += row.subject == network and partition != NETWORK_PARTITION
        async for reason in _read_reasons(store, partition, baseline.offsets.get(partition, 0)):
            refused[reason] += 1
    relayed_entries = relayed
    relayed += sum(refused.pop(reason, 0) for reason in _RELAYS)
    return RunLog(tuple(entries), len(entries) - relayed_entries, dict(sorted(refused.items())), relayed)


async def read_access(store: Store) -> AccessRows:
    """Every patient's custodians and grants."""
    subjects, grants = {}, {}
    for subject in await store.subjects("patient"):
        subjects[subject.row.subject] = subject.row
        rows = await store.grants_of(subject.partition, subject.row.subject)
        grants[subject.row.subject] = [grant.row for grant in rows]
    return AccessRows(subjects, grants)


async def _read_entries(store: Store, partition: int, from_index: int) -> AsyncIterator[StoredEntry]:
    while page := await store.read_entries(partition, from_index, _PAGE):
        for row in page:
            yield row
        from_index = page[-1].index + 1


async def _read_reasons(store: Store, partition: int, from_offset: int) -> AsyncIterator[str]:
    while page := await store.read_rejections(partition, from_offset, _PAGE):
        for row in page:
            yield row.reason
        from_offset = page[-1].offset + 1
