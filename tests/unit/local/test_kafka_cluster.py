from __future__ import annotations

from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.local.kafka_accounts import ADMIN, NODE, PARTICIPANT, keep_accounts, password_path, read_login
from carenet.local.kafka_cluster import KafkaCluster, check_count, count_brokers


def test_accounts_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    accounts = keep_accounts(tmp_path)
    assert keep_accounts(tmp_path) == accounts
    assert len(set(accounts.by_name().values())) == 3
    for name in (ADMIN, NODE, PARTICIPANT):
        path = password_path(tmp_path, name)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o077 == path.parent.parent.stat().st_mode & 0o077 == 0
        assert read_login(tmp_path, "kafka.example:9092", name) == accounts.login("kafka.example:9092", name)
    assert all(word not in repr(accounts) for word in accounts.by_name().values())


def test_an_account_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"node\.password cannot be read"):
        read_login(tmp_path, "kafka.example:9092", NODE)


def test_a_folder_keeps_the_number_of_brokers_that_it_began_with(tmp_path: Path) -> None:
    assert count_brokers(tmp_path) is None
    cluster = KafkaCluster(tmp_path, 3)
    assert count_brokers(tmp_path) == len(cluster.brokers) == 3
    assert KafkaCluster(tmp_path, 3).bootstrap == cluster.bootstrap
    for other in (1, 5):
        with pytest.raises(SetupError, match="kept by 3 brokers: run it with --brokers 3"):
            check_count(tmp_path, other)


def test_a_folder_of_one_broker_does_not_get_three(tmp_path: Path) -> None:
    (tmp_path / "kafka" / "data").mkdir(parents=True)
    with pytest.raises(SetupError, match="kept by 1 broker: run it with --brokers 1"):
        KafkaCluster(tmp_path, 3)


@pytest.mark.parametrize("count", [0, 2, 10])
def test_a_number_of_which_none_may_die_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(SetupError, match="3 to 9"):
        KafkaCluster(tmp_path, count)


def test_an_unreadable_cluster_file_is_named(tmp_path: Path) -> None:
    KafkaCluster(tmp_path, 3)
    (tmp_path / "kafka-cluster" / "cluster.json").write_text("{")
    with pytest.raises(SetupError, match=r"cluster\.json cannot be read"):
        count_brokers(tmp_path)
