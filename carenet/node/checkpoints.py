"""Signing a partition's checkpoints after its commits: at once when something urgent was accepted, else once a second.

Order: read the committed root, sign, save to PostgreSQL, then publish. A crash in between leaves a checkpoint that was
saved and not published; whoever serves the partition next publishes the last one again. One root has one size, since
only committed states are signed and a commit is never undone.
Not done here: lines of peers and quorums of several nodes.
"""

from __future__ import annotations

import asyncio

import structlog

from carenet.bus.publishing import Producer
from carenet.encoding.ed25519 import SigningKey
from carenet.errors import CorruptionError, ProofError, TransportError
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.notes import sign_note
from carenet.ledger.receipts import build_receipt
from carenet.node.backoff import Backoff
from carenet.rules.rows import PartitionState
from carenet.store.proofs import fetch_inclusion
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint

EVERY_S = 1.0  # between two checkpoints that are not urgent

_log = structlog.get_logger(__name__)


class CheckpointSigner:
    """Signs one partition's checkpoints while this worker serves it.

    Args:
        store: the node's.
        producer: to Kafka.
        topic: the checkpoints topic.
        state: the partition as it was found, committed.
        network: the network's id, 32 bytes.
        key: the node's.
    """

    def __init__(
        self, store: Store, producer: Producer, topic: str, state: PartitionState, *, network: bytes, key: SigningKey
    ) -> None:
        self._store, self._producer, self._topic, self._key = store, producer, topic, key
        self._partition = state.partition
        self._origin = origin_of(network, state.partition)
        self._state = state
        self._is_urgent = asyncio.Event()
        self._has_grown = asyncio.Event()
        self._has_grown.set()
        self._signed_size = 0

    def __repr__(self) -> str:
        return f"<CheckpointSigner {self._partition}: {self._signed_size} of {self._state.tree.size} signed>"

    @property
    def signed_size(self) -> int:
        """Entries that its last checkpoint covers; 0 until the store was asked."""
        return self._signed_size

    def note_commit(self, state: PartitionState, is_urgent: bool) -> None:
        """Say how far the partition was committed."""
        self._state = state
        self._has_grown.set()
        if is_urgent:
            self._is_urgent.set()

    async def run(self) -> None:
        """Sign until cancelled; PostgreSQL and Kafka may go away meanwhile.

        Raises:
            CorruptionError: the store's tiles do not lead to the committed root; nothing was signed.
        """
        backoff = Backoff()
        is_resumed = False
        while True:
            try:
                if not is_resumed:
                    await self._resume()
                    is_resumed = True
                await self._sign_next()
                backoff.reset()
            except TransportError as exc:
                _log.warning("checkpoint_delayed", partition=self._partition, error=str(exc))
                await asyncio.sleep(backoff.next_s())

    async def _resume(self) -> None:
        latest = await self._store.latest_checkpoint(self._partition)
        if latest is not None:
            self._signed_size = latest.size
            await self._publish(latest)

    async def _sign_next(self) -> None:
        """Wait for an unsigned tail, sign it, and rest for a second or until something is urgent."""
        await self._has_grown.wait()
        self._has_grown.clear()
        self._is_urgent.clear()
        state = self._state
        if state.tree.size > self._signed_size:
            try:
                checkpoint = await self._sign(state)
                await self._store.save_checkpoint(checkpoint)
                await self._publish(checkpoint)
            except TransportError:
                self._has_grown.set()  # it is not signed yet, or not published
                raise
            self._signed_size = checkpoint.size
            await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._is_urgent.wait()
        except TimeoutError:
            pass

    async def _sign(self, state: PartitionState) -> StoredCheckpoint:
        said = Checkpoint(self._origin, state.tree.size, state.tree.root())
        last = said.size - 1
        (entry,) = await self._store.read_entries(self._partition, last, 1)
        path = await fetch_inclusion(self._store, self._partition, last, said.size)
        try:
            receipt = build_receipt(said, entry.entry, last, path, self._key)
        except ProofError as exc:
            raise CorruptionError(f"partition {self._partition}: the stored tiles do not fit the root: {exc}") from exc
        return StoredCheckpoint(self._partition, said.size, sign_note(said.text(), self._origin, self._key), receipt)

    async def _publish(self, checkpoint: StoredCheckpoint) -> None:
        await self._producer.send(self._topic, self._partition, self._origin.encode(), checkpoint.note.encode())
