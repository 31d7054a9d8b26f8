from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.notes import sign_note
from carenet.rules.effects import Accepted
from carenet.rules.reasons import Reason
from carenet.statements.records import RelayProof
from tests.support.actors import actor, signing_key
from tests.support.ward import Ward
from tests.support.world import Message

NEWCOMER = actor("newcomer")


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
def admission(ward: Ward) -> Accepted:
    """A new admission that partition 0 has accepted and nobody has relayed yet."""
    outcome = ward.net.publish(ward.world.admit(ward.world.authority, NEWCOMER, ["lab"]))
    assert isinstance(outcome, Accepted)
    return outcome


def refuse(ward: Ward, message: Message, reason: Reason, partition: int = 1) -> None:
    ward.refuse_record(partition, message.key, message.value, reason)


def changed(message: Message, **fields: object) -> Message:
    assert message.proof is not None
    return replace(message, proof=replace(message.proof, **fields))


def test_a_relay_stands_in_every_log_as_partition_0s_own_entry_byte_for_byte(ward: Ward, admission: Accepted) -> None:
    ward.net.relay_all()
    for replica in ward.net.replicas[1:]:
        network = [each for each in replica.entries if each.entry.subject == ward.world.network]
        assert network[-1].entry.encode() == admission.entry.encode()
        assert replica.participant(NEWCOMER.id) == ward.net.replicas[0].participant(NEWCOMER.id)
        assert replica.subject(ward.world.network) == ward.net.replicas[0].subject(ward.world.network)


def test_a_relay_does_not_move_time(ward: Ward) -> None:
    ward.world.clock_ms += 10_000
    ward.net.publish(ward.world.admit(ward.world.authority, NEWCOMER, ["lab"]))
    before = ward.replica.state.log_time_ms
    ward.net.relay_all()
    assert ward.replica.participant(NEWCOMER.id) is not None
    assert ward.replica.state.log_time_ms == before < ward.world.clock_ms


def test_a_relay_counts_however_late_it_comes(ward: Ward, admission: Accepted) -> None:
    ward.world.clock_ms += 400 * 24 * 3_600_000
    ward.net.relay_all()
    assert ward.replica.entries[-1].entry == admission.entry


def test_a_repeated_relay_is_a_duplicate_in_whatever_proof(ward: Ward, admission: Accepted) -> None:
    ward.net.relay_all()
    for index in (0, 3):
        refuse(ward, ward.net.relay(ward.net.replicas[0].entries[index]), Reason.DUPLICATE)
    refuse(ward, ward.net.relay(admission), Reason.DUPLICATE, partition=2)
    refuse(ward, ward.net.relay(admission, signers=ward.world.nodes), Reason.DUPLICATE)


def test_a_relay_out_of_order_waits_for_the_one_before_it(ward: Ward, admission: Accepted) -> None:
    second = ward.net.publish(ward.world.suspend(ward.world.authority, NEWCOMER))
    assert isinstance(second, Accepted)
    refuse(ward, ward.net.relay(second), Reason.RELAY_GAP)
    ward.net.deliver(1, ward.net.relay(admission).key, ward.net.relay(admission).value)
    accepted = ward.net.deliver(1, ward.net.relay(second).key, ward.net.relay(second).value)
    assert isinstance(accepted, Accepted)


def test_a_relay_of_what_partition_0_refused_is_refused(ward: Ward, admission: Accepted) -> None:
    forged = ward.world.admit(NEWCOMER, actor("accomplice"), ["clinician"])
    ward.refuse(forged, Reason.ROLE_FORBIDS)
    # With the true proof of another admission, and with an entry of its own making.
    refuse(ward, replace(forged, proof=ward.net.relay(admission).proof), Reason.RELAY_PROOF)
    entry = Entry(ward.world.network, 8, admission.entry.leaf_hash, forged.statement.digest, ward.world.clock_ms)
    refuse(
        ward, changed(replace(forged, proof=ward.net.relay(admission).proof), entry=entry.encode()), Reason.RELAY_PROOF
    )


@pytest.mark.parametrize("place", range(4))
def test_a_relay_with_a_wrong_path_is_refused(ward: Ward, admission: Accepted, place: int) -> None:
    relay = ward.net.relay(admission)
    assert relay.proof is not None
    path = relay.proof.path
    assert path, "a tree of one leaf would prove nothing here"
    wrong = [path[:-1], (*path, bytes(32)), (bytes(32), *path[1:]), (path[0][:31], *path[1:])][place]
    refuse(ward, changed(relay, path=wrong), Reason.RELAY_PROOF)


def test_a_relay_with_another_index_or_entry_is_refused(ward: Ward, admission: Accepted) -> None:
    relay = ward.net.relay(admission)
    refuse(ward, changed(relay, index=0), Reason.RELAY_PROOF)
    refuse(ward, changed(relay, index=2**50), Reason.RELAY_PROOF)
    other = ward.net.replicas[0].entries[0].entry
    refuse(ward, changed(relay, entry=other.encode()), Reason.RELAY_PROOF)
    refuse(ward, changed(relay, entry=relay.proof.entry + b"\x00" if relay.proof else b""), Reason.RELAY_PROOF)
    later = replace(admission.entry, log_time_ms=admission.entry.log_time_ms + 1)
    refuse(ward, changed(relay, entry=later.encode()), Reason.RELAY_PROOF)
    elsewhere = Entry(ward.patient.id, 0, NO_PREV, admission.statement.digest, 0)
    refuse(ward, changed(relay, entry=elsewhere.encode()), Reason.RELAY_PROOF)


def test_a_relay_without_a_quorums_lines_is_refused(ward: Ward, admission: Accepted) -> None:
    nodes = ward.world.nodes
    for signers in ([], nodes[:1], [nodes[0], nodes[0]], [nodes[0], ward.world.authority], [ward.world.stranger] * 3):
        refuse(ward, ward.net.relay(admission, signers=signers), Reason.RELAY_PROOF)
    accepted = ward.net.relay(admission, signers=[*nodes, ward.world.stranger])  # unknown lines are ignored
    assert isinstance(ward.net.deliver(1, accepted.key, accepted.value), Accepted)


def test_a_relay_with_a_bad_line_of_a_node_is_refused(ward: Ward, admission: Accepted) -> None:
    relay = ward.net.relay(admission, signers=ward.world.nodes)
    assert relay.proof is not None
    text, lines = relay.proof.checkpoint.split("\n\n")
    first, *others = lines.splitlines()
    swapped = first[:-6] + ("AAAA" if first[-6:-2] != "AAAA" else "BBBB") + first[-2:]
    refuse(ward, changed(relay, checkpoint="\n".join([text, "", swapped, *others, ""])), Reason.RELAY_PROOF)


def test_a_relay_under_another_logs_checkpoint_is_refused(ward: Ward, admission: Accepted) -> None:
    relay = ward.net.relay(admission)
    assert relay.proof is not None
    text = relay.proof.checkpoint.split("\n\n")[0] + "\n"
    other = text.replace("/0\n", "/1\n", 1)
    origin = other.splitlines()[0]
    lines = [sign_note(other, origin, node.key).split("\n\n")[1] for node in ward.world.nodes]
    refuse(ward, changed(relay, checkpoint=other + "\n" + "".join(lines)), Reason.RELAY_PROOF)
    for note in ("", "no note", text):
        refuse(ward, changed(relay, checkpoint=note), Reason.RELAY_PROOF)


def test_a_relay_by_another_networks_nodes_is_refused(ward: Ward, admission: Accepted) -> None:
    nodes = [replace(node, key=signing_key(f"impostor {node.name}")) for node in ward.world.nodes]
    refuse(ward, ward.net.relay(admission, signers=nodes), Reason.RELAY_PROOF)


def test_a_relay_proved_at_any_later_size_is_as_good(ward: Ward, admission: Accepted) -> None:
    early = ward.net.relay(admission)
    for number in range(5):
        ward.net.publish(ward.world.admit(ward.world.authority, actor(f"later-{number}"), ["lab"]))
    late = ward.net.relay(admission)
    assert early.proof != late.proof
    assert isinstance(ward.net.deliver(1, early.key, early.value), Accepted)
    assert isinstance(ward.net.deliver(2, late.key, late.value), Accepted)
    assert ward.net.replicas[1].entries[-1].entry == ward.net.replicas[2].entries[-1].entry


def test_a_relay_with_a_body_that_nothing_names_is_refused(ward: Ward, admission: Accepted) -> None:
    relay = ward.net.relay(admission)
    refuse(ward, replace(relay, body=b"stored for ever"), Reason.BODY_UNEXPECTED)
    assert isinstance(ward.net.deliver(1, relay.key, relay.value), Accepted)


def test_a_checkpoint_that_does_not_cover_the_entry_is_refused(ward: Ward, admission: Accepted) -> None:
    relay = ward.net.relay(admission)
    short = ward.net.note(0, admission.index, ward.world.nodes)
    assert isinstance(relay.proof, RelayProof)
    refuse(ward, changed(relay, checkpoint=short), Reason.RELAY_PROOF)
