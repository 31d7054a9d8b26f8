from __future__ import annotations

import pytest

from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey
from tests.support.actors import signing_key


@pytest.fixture
def genesis(topic_name: str) -> Genesis:
    """A network of four partitions on a topic of this test's own."""
    return Genesis(
        format=1,
        name="test",
        salt=bytes(16),
        authorities=(AuthorityKey("authority", signing_key("authority").public),),
        threshold=1,
        nodes=(NodeKey("node", signing_key("node").public, bytes(1312)),),
        quorum=1,
        topic=f"{topic_name}.events",
        partitions=4,
        snapshot_every=1000,
        retention_days=0,
        rulebook=1,
    )
