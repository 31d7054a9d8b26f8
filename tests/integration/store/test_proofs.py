from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.encoding import cose
from carenet.encoding.ed25519 import SigningKey
from carenet.errors import CorruptionError, ProofError
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.hashes import hash_leaf
from carenet.ledger.notes import sign_note
from carenet.ledger.proofs import verify_consistency, verify_inclusion
from carenet.ledger.receipts import build_receipt, verify_receipt
from carenet.ledger.tree import Tree
from carenet.statements.genesis import Genesis
from carenet.store.proofs import fetch_consistency, fetch_inclusion, fetch_receipt
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint, StoredEntry
from tests.support.actors import signing_key
from tests.support.chronicle import Chronicle
from tests.support.folding import fold_into, raw_records


async def _fold_story(store: Store, genesis: Genesis, chronicle: Chronicle, events: int) -> list[StoredEntry]:
    anna = chronicle.patient("anna")
    story = [*chronicle.founding(), chronicle.open(anna), *(chronicle.care(anna) for _ in range(events - 3))]
    await fold_into(store, genesis, raw_records(story), batch=100)
    return await store.read_entries(0, 0, events)


def _root(entries: list[StoredEntry], size: int) -> bytes:
    tree = Tree()
    for each in entries[:size]:
        tree.append(hash_leaf(each.entry))
    return tree.root()


def _checkpoint(genesis: Genesis, entries: list[StoredEntry], size: int, path: list[bytes]) -> StoredCheckpoint:
    key: SigningKey = signing_key("node")
    origin = origin_of(genesis.network_id, 0)
    said = Checkpoint(origin, size, _root(entries, size))
    receipt = build_receipt(said, entries[size - 1].entry, size - 1, path, key)
    return StoredCheckpoint(0, size, sign_note(said.text(), origin, key), receipt)


async def test_every_entry_has_a_path_to_the_root_at_every_size(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    entries = await _fold_story(store, genesis, chronicle, 520)
    for size in (1, 2, 255, 256, 257, 512, 519, 520):
        for index in {0, 1, size // 2, size - 1} & set(range(size)):
            path = await fetch_inclusion(store, 0, index, size)
            verify_inclusion(hash_leaf(entries[index].entry), index, size, path, _root(entries, size))


async def test_every_size_is_shown_to_continue_the_earlier_ones(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    entries = await _fold_story(store, genesis, chronicle, 300)
    for old, new in ((0, 5), (1, 300), (255, 256), (256, 300), (257, 299), (300, 300)):
        path = await fetch_consistency(store, 0, old, new)
        verify_consistency(old, new, _root(entries, old), _root(entries, new), path)


async def test_a_size_that_the_log_has_not_reached_has_no_proof(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    await _fold_story(store, genesis, chronicle, 10)
    with pytest.raises(ProofError):
        await fetch_inclusion(store, 0, 3, 11)


async def test_one_signature_makes_a_receipt_for_every_entry_below_the_checkpoint(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    entries = await _fold_story(store, genesis, chronicle, 300)
    checkpoint = _checkpoint(genesis, entries, 280, await fetch_inclusion(store, 0, 279, 280))
    public = signing_key("node").public
    for each in entries[::13]:
        if each.index >= 280:
            with pytest.raises(ProofError, match="does not cover"):
                await fetch_receipt(store, each, checkpoint)
            continue
        receipt = await fetch_receipt(store, each, checkpoint)
        verified = verify_receipt(receipt, each.entry, each.digest, {cose.compute_thumbprint(public): public})
        assert (verified.index, verified.size, verified.root) == (each.index, 280, _root(entries, 280))


async def test_tiles_that_do_not_fit_the_checkpoint_are_corruption(
    store: Store, genesis: Genesis, chronicle: Chronicle
) -> None:
    entries = await _fold_story(store, genesis, chronicle, 300)
    checkpoint = _checkpoint(genesis, entries, 300, await fetch_inclusion(store, 0, 299, 300))
    await store._fetch("UPDATE tiles SET hashes = overlay(hashes placing '\\x00'::bytea from 33)")
    with pytest.raises(CorruptionError, match="do not fit"):
        await fetch_receipt(store, entries[0], checkpoint)
    with pytest.raises(ProofError, match="does not cover"):
        await fetch_receipt(store, replace(entries[0], partition=1), checkpoint)
