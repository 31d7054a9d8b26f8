from __future__ import annotations

from pathlib import Path

import pytest

from carenet.bus.topics import check_topics, topics_of
from carenet.errors import SetupError
from carenet.local.founding import found_network
from carenet.local.kafka import EmbeddedKafka
from carenet.local.provisioning import provision_servers
from carenet.settings import Settings
from carenet.store.store import Store


async def test_servers_that_exist_are_prepared_and_a_second_time_changes_nothing(
    kafka: EmbeddedKafka, database: str, topic_name: str, tmp_path: Path
) -> None:
    genesis = found_network(tmp_path, "carenet", 2, topic=f"{topic_name}.events")
    settings = Settings(kafka=kafka.bootstrap, postgres=database)  # type: ignore[arg-type]
    first = await provision_servers(settings, genesis, has_accounts=False)
    assert await provision_servers(settings, genesis, has_accounts=False) == first
    await check_topics(kafka.bootstrap, topics_of(genesis, "node"))
    async with Store(database) as store:
        assert sorted(await store.heads()) == [0, 1]


async def test_a_kafka_without_an_authorizer_takes_no_access_rules(
    kafka: EmbeddedKafka, database: str, topic_name: str, tmp_path: Path
) -> None:
    genesis = found_network(tmp_path, "carenet", 2, topic=f"{topic_name}.events")
    settings = Settings(kafka=kafka.bootstrap, postgres=database)  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="access rule"):
        await provision_servers(settings, genesis, has_accounts=True)


async def test_servers_that_are_not_named_are_asked_for(tmp_path: Path) -> None:
    genesis = found_network(tmp_path, "carenet", 2)
    with pytest.raises(SetupError, match="CARENET_KAFKA and CARENET_POSTGRES"):
        await provision_servers(Settings(kafka=None, postgres=None), genesis, has_accounts=False)
