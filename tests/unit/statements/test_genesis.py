from __future__ import annotations

from typing import Any

import pytest

from carenet.encoding import cbor, cose
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError, StatementError
from carenet.statements.genesis import AuthorityKey, Genesis, NodeKey, parse_genesis
from tests.support.actors import signing_key


def node(label: str) -> NodeKey:
    return NodeKey(label, signing_key(label).public, bytes(1312))


GENESIS = Genesis(
    format=1,
    name="north",
    salt=bytes(16),
    authorities=(AuthorityKey("ministry", signing_key("ministry").public),),
    threshold=1,
    nodes=(node("one"), node("two"), node("three")),
    quorum=2,
    topic="carenet.events",
    partitions=8,
    snapshot_every=100_000,
    retention_days=0,
    rulebook=1,
)
MAP = GENESIS.to_map()
SMALL_ORDER = bytes(32)  # y = 0: a point of order 4
MIXED = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85")  # -(1) of order 8


def changed(**fields: Any) -> bytes:
    return cbor.encode(MAP | fields)


def test_a_genesis_file_survives_its_bytes_and_names_the_network() -> None:
    assert parse_genesis(GENESIS.encode()) == GENESIS
    assert GENESIS.network_id == sha256(GENESIS.encode())


def test_participants_of_the_genesis_are_named_by_their_keys() -> None:
    assert GENESIS.authorities[0].id == cose.compute_thumbprint(signing_key("ministry").public)
    assert GENESIS.nodes[1].id == cose.compute_thumbprint(signing_key("two").public)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (cbor.encode([]), "genesis is a map"),
        (changed(format=2), "genesis.format is one of 1"),
        (changed(format=True), "genesis.format is one of 1"),
        (changed(name="North"), "genesis.name is a name"),
        (changed(salt=bytes(15)), "genesis.salt is 16 bytes"),
        (changed(authorities=[]), "genesis.authorities is a list of 1"),
        (changed(authorities=[{"name": "x", "sign": bytes(31)}]), r"genesis.authorities\[0\].sign is 32 bytes"),
        (changed(threshold=2), "genesis.threshold is one of 1"),
        (changed(nodes=[]), "genesis.nodes is a list of 1"),
        (changed(nodes=[MAP["nodes"][0] | {"mldsa": bytes(1311)}]), r"genesis.nodes\[0\].mldsa is 1312 bytes"),
        (changed(quorum=0), "genesis.quorum is an integer from 1"),
        (changed(quorum=1), "genesis.quorum is above half of the 3 nodes"),
        (changed(quorum=4), "genesis.quorum is above half of the 3 nodes"),
        (changed(topic="carenet events"), "genesis.topic is a name"),
        (changed(partitions=0), "genesis.partitions is an integer from 1"),
        (changed(partitions=1025), "genesis.partitions is an integer from 1 to 1024"),
        (changed(snapshot_every=0), "genesis.snapshot_every"),
        (changed(retention_days=-1), "genesis.retention_days"),
        (changed(rulebook=2), "genesis.rulebook is one of 1"),
        (changed(motto="more"), "genesis.motto is not a field"),
        (cbor.encode({key: value for key, value in MAP.items() if key != "salt"}), "genesis.salt is missing"),
        (changed(nodes=[MAP["nodes"][0]] * 2, quorum=2), "genesis.nodes repeats an item"),
        (changed(nodes=[MAP["nodes"][0], MAP["nodes"][0] | {"name": "x"}]), "names one key twice"),
        (changed(authorities=[{"name": "x", "sign": MAP["nodes"][0]["sign"]}]), "names one key twice"),
        (changed(authorities=[{"name": "x", "sign": SMALL_ORDER}]), "prime-order subgroup"),
        (changed(authorities=[{"name": "x", "sign": MIXED}]), "prime-order subgroup"),
    ],
)
def test_a_genesis_that_breaks_a_rule_is_refused_by_name(data: bytes, rule: str) -> None:
    with pytest.raises(StatementError, match=rule):
        parse_genesis(data)


def test_a_genesis_cut_or_lengthened_anywhere_is_refused() -> None:
    data = GENESIS.encode()
    for end in range(0, len(data), 7):
        with pytest.raises(BadInputError):
            parse_genesis(data[:end])
    with pytest.raises(BadInputError):
        parse_genesis(data + b"\x00")


def test_a_quorum_of_one_node_is_one() -> None:
    assert parse_genesis(changed(nodes=MAP["nodes"][:1], quorum=1)).quorum == 1
    with pytest.raises(StatementError, match="above half of the 2 nodes"):
        parse_genesis(changed(nodes=MAP["nodes"][:2], quorum=1))


def test_any_other_bit_names_another_network() -> None:
    assert parse_genesis(changed(salt=b"\1" + bytes(15))).network_id != GENESIS.network_id
