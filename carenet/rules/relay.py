"""Relays: how partition 0's decisions about participants reach the other partitions, byte for byte.

1. The proof's entry is of the network's subject and names the relayed statement.
2. The checkpoint is partition 0's and carries lines of a quorum of the nodes (stops a node that decides alone).
3. The entry is in that tree (stops a relay of something that partition 0 refused).
4. Its sequence number is the next here and its prev is the head here (stops reordering; one chain, not two).
Not done here: signature, freshness and permission, which partition 0 decided.
"""

from __future__ import annotations

from carenet.errors import EncodingError, NoteError, ProofError
from carenet.ledger.checkpoint import Checkpoint, origin_of, parse_checkpoint
from carenet.ledger.entry import Entry, decode_entry
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.notes import ED25519, Verifier, open_note
from carenet.ledger.proofs import verify_inclusion
from carenet.rules.case import Refusal
from carenet.rules.prepare import Prepared, Scope
from carenet.rules.reasons import Reason
from carenet.rules.rows import SubjectRow
from carenet.statements.genesis import Genesis
from carenet.statements.records import NETWORK_PARTITION


def check_relay(record: Prepared, network: SubjectRow, scope: Scope) -> Entry:
    """Check a relay's proof and place.

    Args:
        record: a prepared record with a proof and a readable statement.
        network: the network's subject in this partition.
        scope: the network's constants.

    Returns:
        Partition 0's entry, which becomes this partition's.
    """
    assert record.proof is not None
    assert record.statement is not None
    proof = record.proof
    try:
        entry = decode_entry(proof.entry)  # 1
        if entry.subject != scope.network or entry.digest != record.statement.digest:
            raise Refusal(Reason.RELAY_PROOF, "the entry is another statement's")
        checkpoint = open_checkpoint(proof.checkpoint, scope.genesis, NETWORK_PARTITION)  # 2
        leaf = hash_leaf(proof.entry)
        verify_inclusion(leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)  # 3
    except (EncodingError, NoteError, ProofError) as exc:
        raise Refusal(Reason.RELAY_PROOF, str(exc)) from exc
    if entry.seq < network.next_seq:
        raise Refusal(Reason.DUPLICATE, "this relay was applied before", record.statement.digest)
    if entry.seq > network.next_seq:  # 4
        raise Refusal(Reason.RELAY_GAP, f"the next network statement here is {network.next_seq}")
    if entry.prev != network.head:
        raise Refusal(Reason.RELAY_PROOF, "the entry does not follow the head here")
    return entry


def node_verifiers(genesis: Genesis, partition: int) -> list[Verifier]:
    """The verifiers of the nodes' Ed25519 lines on one partition's checkpoints."""
    origin = origin_of(genesis.network_id, partition)
    return [Verifier(origin, ED25519, node.sign) for node in genesis.nodes]


def open_checkpoint(note: str, genesis: Genesis, partition: int) -> Checkpoint:
    """Read a checkpoint that a quorum of the genesis' nodes signed.

    Raises:
        NoteError: it does not parse, a line of a node is bad, it is another log's, or lines are too few.
    """
    opened = open_note(note, node_verifiers(genesis, partition))
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != origin_of(genesis.network_id, partition):
        raise NoteError("the checkpoint is of another log")
    if len({verifier.key for verifier in opened.verified}) < genesis.quorum:
        raise NoteError(f"the checkpoint has fewer lines than the quorum of {genesis.quorum}")
    return checkpoint
