from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.bus.acls import Acl, Operation, Pattern, Resource, node_acls, participant_acls
from carenet.bus.topics import app_id_of, fold_group_of, topics_of
from carenet.errors import SetupError
from carenet.statements.genesis import Genesis
from tests.support.world import World

GENESIS = World().genesis


def _allows(acls: list[Acl], resource: Resource, name: str) -> set[Operation]:
    """What somebody may do with one topic or group, as the brokers' authorizer decides."""
    return {
        acl.operation
        for acl in acls
        if acl.resource is resource
        and (acl.name == name if acl.pattern is Pattern.LITERAL else name.startswith(acl.name))
    }


def _renamed(genesis: Genesis, *names: str) -> Genesis:
    return replace(
        genesis, nodes=tuple(replace(node, name=name) for node, name in zip(genesis.nodes, names, strict=True))
    )


def test_a_participant_may_write_the_events_topic_and_nothing_else() -> None:
    acls = participant_acls(GENESIS, "lab")
    assert {acl.user for acl in acls} == {"lab"}
    assert _allows(acls, Resource.TOPIC, GENESIS.topic) == {Operation.WRITE, Operation.DESCRIBE}
    assert {(acl.resource, acl.name, acl.pattern) for acl in acls} == {(Resource.TOPIC, GENESIS.topic, Pattern.LITERAL)}


def test_a_node_may_use_its_own_topics_and_groups_and_no_other_nodes() -> None:
    genesis = _renamed(GENESIS, "north", "south", "west")
    acls = node_acls(genesis, "north", "north-node")
    whole = {Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS}
    for spec in topics_of(genesis, "north"):
        assert _allows(acls, Resource.TOPIC, spec.name) == whole
    changelog = f"{app_id_of(genesis, 'north', 'agents')}-activity-changelog"
    assert _allows(acls, Resource.TOPIC, changelog) == whole | {Operation.CREATE}
    for group in (fold_group_of(genesis, "north"), app_id_of(genesis, "north", "agents")):
        assert _allows(acls, Resource.GROUP, group) == {Operation.READ}
    for group in (fold_group_of(genesis, "south"), app_id_of(genesis, "south", "agents")):
        assert _allows(acls, Resource.GROUP, group) == set()
    assert _allows(acls, Resource.TOPIC, topics_of(genesis, "south").entries.name) == set()
    assert _allows(acls, Resource.TOPIC, f"{app_id_of(genesis, 'south', 'agents')}-activity-changelog") == set()


def test_a_node_whose_rules_would_cover_another_node_is_refused() -> None:
    genesis = _renamed(GENESIS, "north", "north-2", "west")
    with pytest.raises(SetupError, match="node north could use what is node north-2's"):
        node_acls(genesis, "north", "a")
    assert node_acls(genesis, "north-2", "b")


def test_nobody_may_alter_or_delete_anything() -> None:
    known = set(Operation)
    assert known == {Operation.READ, Operation.WRITE, Operation.CREATE, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS}
