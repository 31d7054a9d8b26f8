"""What became of statements: answers that wait until the partition has been decided that far, and followers.

Acceptance is found by digest and always wins; refusal only by the (partition, offset) of the asker's own send. The
proven signer is told everything; whoever else names a place is told whether it was accepted, and where, or the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from carenet.errors import RefusedError
from carenet.gateway.messages import BadRequestError, Message
from carenet.rules.reasons import Reason
from carenet.statements.statement import Statement, parse_statement
from carenet.store.store import Store
from carenet.store.stored import LeanEntry, StoredEntry, StoredRejection

_PAGE = 500
_LENGTH_BYTES = {0x58: 1, 0x59: 2}  # by a byte string's initial byte
NO_RECORD = "no_record"

Tell = Callable[[Message], None]
AcceptedEntry = StoredEntry | LeanEntry


class Outcomes:
    """See the module header.

    Args:
        store: to ask about what was decided.
        next_offsets: first undecided offset by partition, as the gateway has seen it.
    """

    def __init__(self, store: Store, next_offsets: dict[int, int]) -> None:
        self._store = store
        self._next_offsets = next_offsets
        self._reported = dict(next_offsets)  # refusals before it were told to followers
        self._waiting: dict[int, dict[int, list[asyncio.Future[AcceptedEntry | None]]]] = {
            partition: {} for partition in next_offsets
        }
        self._followers: dict[bytes, set[Tell]] = {}

    def __repr__(self) -> str:
        return f"<Outcomes with {sum(map(len, self._waiting.values()))} places waited for>"

    @property
    def decided(self) -> Mapping[int, int]:
        """First undecided offset by partition, as the gateway has seen it; always the same mapping."""
        return self._next_offsets

    # What the feed reports.

    def on_passed(self, run: Sequence[AcceptedEntry]) -> None:
        """Some entries of one partition were applied."""
        waiting, followers = self._waiting[run[0].partition], self._followers
        if waiting or followers:
            for entry in run:
                if entry.offset in waiting or entry.issuer in followers:
                    self.on_accepted(entry)

    def on_accepted(self, entry: AcceptedEntry) -> None:
        """An entry was applied; who waits for its place has the answer without another question to the store."""
        for future in self._waiting[entry.partition].pop(entry.offset, ()):
            if not future.done():
                future.set_result(entry)
        for tell in self._followers.get(entry.issuer, ()):
            place = {"partition": entry.partition, "offset": entry.offset, "digest": entry.digest}
            tell({"type": "outcome", **place, "outcome": accepted(entry, is_signer=True)})

    async def on_decided(self, partition: int, next_offset: int) -> None:
        """A partition was decided up to `next_offset`; its entries were reported before."""
        self._next_offsets[partition] = max(next_offset, self._next_offsets[partition])
        waiting = self._waiting[partition]
        for offset in [each for each in waiting if each < next_offset]:
            for future in waiting.pop(offset):
                if not future.done():
                    future.set_result(None)
        if self._followers and self._reported[partition] < next_offset:
            await self._report_refusals(partition, self._reported[partition], next_offset)
        self._reported[partition] = max(next_offset, self._reported[partition])

    async def _report_refusals(self, partition: int, from_offset: int, to_offset: int) -> None:
        while from_offset < to_offset:
            refusals = await self._store.read_rejections(partition, from_offset, _PAGE)
            for refusal in refusals:
                if refusal.is_proven and refusal.issuer in self._followers and refusal.offset < to_offset:
                    place = {"partition": partition, "offset": refusal.offset, "digest": refusal.digest}
                    for tell in self._followers[refusal.issuer]:
                        tell({"type": "outcome", **place, "outcome": refused(refusal, is_signer=True)})
            if len(refusals) < _PAGE:
                return
            from_offset = refusals[-1].offset + 1

    # What sessions ask.

    def follow(self, participant: bytes, tell: Tell) -> None:
        """Tell of each later statement of a participant what became of it, wherever it was published."""
        self._followers.setdefault(participant, set()).add(tell)

    def leave(self, participant: bytes, tell: Tell) -> None:
        """Stop telling."""
        followers = self._followers.get(participant)
        if followers is not None:
            followers.discard(tell)
            if not followers:
                del self._followers[participant]

    async def find(self, partition: int, offset: int, digest: bytes | None) -> AcceptedEntry | StoredRejection:
        """What became of the record at a place, once it is decided.

        Args:
            partition: 0 <= partition < the network's count.
            offset: of the asker's own send.
            digest: of the statement sent there; its acceptance wins, wherever it came from.

        Raises:
            BadRequestError: no such partition.
            RefusedError: it was decided, and no record was there (`no_record`).
            TransportError: the store does not answer.
        """
        if partition not in self._next_offsets:
            raise BadRequestError("partition is one of the network's")
        if self._next_offsets[partition] <= offset:
            entry = await self._wait(partition, offset)
            if entry is not None and digest in {None, entry.digest}:
                return entry
        if digest is not None and (entry := await self._store.find_by_digest(digest)) is not None:
            return entry
        outcome = await self._store.outcome_at(partition, offset)
        if outcome is None:
            raise RefusedError(NO_RECORD, "the partition was decided beyond this offset, and no record was there")
        return outcome

    async def _wait(self, partition: int, offset: int) -> AcceptedEntry | None:
        future: asyncio.Future[AcceptedEntry | None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[partition]
        waiting.setdefault(offset, []).append(future)
        try:
            return await future
        finally:
            left = [each for each in waiting.get(offset, ()) if each is not future]
            if left:
                waiting[offset] = left
            else:
                waiting.pop(offset, None)


def accepted(entry: AcceptedEntry, *, is_signer: bool) -> Message:
    """An acceptance, for the signer or for others."""
    told: Message = {"partition": entry.partition, "index": entry.index}
    if is_signer:
        told |= {"seq": entry.seq, "entry": entry.entry, "digest": entry.digest}
    return {"accepted": told}


def refused(refusal: StoredRejection, *, is_signer: bool) -> Message:
    """A refusal, for the signer or for others."""
    told: Message = {"reason": refusal.reason}
    if is_signer:
        told |= {"detail": refusal.detail}
        told |= {"winner": refusal.winner} if refusal.winner is not None else {}
    return {"refused": told}


def stale_statement(refusal: StoredRejection) -> Statement | None:
    """The statement of a `stale_epoch` refusal, if the kept first bytes of its record hold it whole."""
    if refusal.reason != Reason.STALE_EPOCH:
        return None
    # A record is an array whose first item, the statement, is a byte string with one or two bytes of length.
    head = refusal.head
    start = 2 + _LENGTH_BYTES.get(head[1], 0)
    end = start + int.from_bytes(head[2:start], "big")
    return parse_statement(head[start:end]) if start > 2 and end <= len(head) else None  # noqa: PLR2004
