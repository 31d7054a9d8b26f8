"""What a fold worker is told; the processor that runs it builds this from settings, genesis and key file."""

from __future__ import annotations

from dataclasses import dataclass, field

from carenet.bus.security import KafkaAt
from carenet.node.identity import NodeKeys
from carenet.statements.genesis import Genesis


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Which node's worker, and where its servers are.

    Attributes:
        kafka: where Kafka is, and how to log in.
        postgres: DSN of the node's database.
        genesis: the network's.
        node: the node's name, part of its topic and group names.
        keys: the node's.
        max_batch_records: most records of one transaction, from 1.
        session_timeout_s: seconds of silence after which others take over its partitions.
        check_every_s: seconds between two looks whether the topic is still the one that was folded.
        entries_topic: whether entries are handed on to the node's own topic; without it its processors hear nothing.
    """

    kafka: KafkaAt
    postgres: str = field(repr=False)
    genesis: Genesis
    node: str
    keys: NodeKeys
    max_batch_records: int = 4096
    session_timeout_s: float = 6.0
    check_every_s: float = 60.0
    entries_topic: bool = True
