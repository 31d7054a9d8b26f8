"""Inclusion paths and receipts, made from the stored tiles; whoever can read the store can make them.

No key is needed: the signature of a receipt covers the root and the size, so the one that the node made with each
checkpoint serves every entry below that size, and only the path inside is each entry's own.
"""

from __future__ import annotations

from carenet.encoding import cbor, cose
from carenet.errors import CorruptionError, ProofError
from carenet.ledger.checkpoint import Checkpoint, parse_checkpoint
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.notes import parse_unverified_note
from carenet.ledger.proofs import verify_inclusion
from carenet.ledger.prover import TileAt, consistency_path, inclusion_path, tiles_for_consistency, tiles_for_inclusion
from carenet.ledger.receipts import INCLUSION_PROOFS, VERIFIABLE_DATA_PROOFS
from carenet.store.queries import Queries
from carenet.store.stored import StoredCheckpoint, StoredEntry


async def fetch_inclusion(queries: Queries, partition: int, index: int, size: int) -> list[bytes]:
    """The path from the entry at `index` to the root of the log's first `size` entries.

    Args:
        queries: the store or a snapshot of it.
        partition: the log.
        index: 0 <= index < size.
        size: at most the log's size now.

    Raises:
        ValueError: an index outside the tree.
        ProofError: the log is not that long yet.
    """
    return inclusion_path(index, size, await _fetch_tiles(queries, partition, tiles_for_inclusion(index, size)))


async def fetch_consistency(queries: Queries, partition: int, old_size: int, new_size: int) -> list[bytes]:
    """The path that shows that the log of `old_size` entries is the beginning of the one of `new_size`.

    Raises:
        ValueError: sizes the wrong way round.
        ProofError: the log is not that long yet.
    """
    wanted = tiles_for_consistency(old_size, new_size)
    return consistency_path(old_size, new_size, await _fetch_tiles(queries, partition, wanted))


async def fetch_receipt(queries: Queries, entry: StoredEntry, checkpoint: StoredCheckpoint) -> bytes:
    """The COSE receipt of an entry.

    Args:
        queries: the store or a snapshot of it.
        entry: of the checkpoint's partition.
        checkpoint: one that covers it: `Queries.checkpoint_covering`.

    Raises:
        ProofError: the checkpoint does not cover the entry.
        CorruptionError: the tiles do not lead to the root that was signed.
    """
    if entry.partition != checkpoint.partition or entry.index >= checkpoint.size:
        raise ProofError(f"the checkpoint of size {checkpoint.size} does not cover index {entry.index}")
    path = await fetch_inclusion(queries, entry.partition, entry.index, checkpoint.size)
    said = read_checkpoint(checkpoint)
    try:
        verify_inclusion(hash_leaf(entry.entry), entry.index, said.size, path, said.root)
    except ProofError as exc:
        raise CorruptionError(f"the tiles of partition {entry.partition} do not fit its checkpoint: {exc}") from exc
    signed = cose.decode_sign1(checkpoint.receipt)
    proofs = {INCLUSION_PROOFS: [cbor.encode([checkpoint.size, entry.index, path])]}
    return cose.encode_sign1(signed.protected, None, signed.signature, {VERIFIABLE_DATA_PROOFS: proofs})


def read_checkpoint(checkpoint: StoredCheckpoint) -> Checkpoint:
    """What a stored note says; our own database is not asked for signatures."""
    text, _ = parse_unverified_note(checkpoint.note)
    return parse_checkpoint(text)


async def _fetch_tiles(queries: Queries, partition: int, wanted: set[TileAt]) -> dict[TileAt, bytes]:
    # The tails first: what fills up meanwhile is then in a tail as of before, or among the full tiles read after.
    state = await queries.load_state(partition)
    return {**state.tree.partial_tiles(), **await queries.read_tiles(partition, wanted)}
