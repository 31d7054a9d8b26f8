"""Answers that carry their proof: what the log says of subjects, participants, keys and statements, with receipts.

The gateway signs nothing: a receipt is the node's signature of a checkpoint with a path of its own (store/proofs). An
answer waits until a checkpoint covers what it proves, which is at once for epochs and participants.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError, RefusedError, TransportError
from carenet.gateway.authority import Authority, Timeline
from carenet.gateway.messages import Message
from carenet.rules.access import MANAGE, active
from carenet.rules.reasons import Reason
from carenet.rules.rows import EpochRow, GrantRow, ParticipantRow
from carenet.statements.statement import parse_statement
from carenet.store.proofs import fetch_receipt
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint, StoredControl, StoredEntry

_LOOK_S = 0.05  # between two looks for a checkpoint: they come once a second, or at once
_CONTROL_PAGE = 64  # entries of up to 17 KB
_BODY_PAGE = 8  # bodies of up to 900 KiB
_KEPT_RECEIPTS = 4096  # of about 1 KiB; a statement's receipt never changes


class Describer:
    """Answers about one node's log.

    Args:
        store: to read from.
        authority: the gateway's view.
        proof_s: seconds to wait for a checkpoint.
    """

    def __init__(self, store: Store, authority: Authority, proof_s: float) -> None:
        self._store = store
        self._authority = authority
        self._proof_s = proof_s
        self._receipts: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Describer with {len(self._receipts)} receipts>"

    async def subject(self, subject: bytes) -> Message:
        """Custodians, standing choices and current epochs, each epoch with its proof; for every participant.

        Raises:
            RefusedError: no such subject.
            TransportError: the store does not answer, or no checkpoint came.
        """
        timeline = self._timeline(subject)
        row = timeline.row
        epochs = await self._store.epochs_of(timeline.partition, subject)
        return {
            "subject": encode_id(subject),
            "kind": row.kind,
            "custodians": [encode_id(each) for each in row.custodians],
            "write": list(row.write),
            "emergency": row.emergency,
            "next_seq": timeline.next_seq,
            "partition": timeline.partition,
            "epochs": {each.compartment: await self._epoch(each) for each in epochs.epochs},
        }

    async def epoch(self, subject: bytes, compartment: str | None) -> Message | None:
        """A compartment's current epoch with its proof; None where there is none."""
        timeline = self._authority.timeline(subject)
        if timeline is None:
            return None
        epochs = await self._store.epochs_of(timeline.partition, subject)
        found = [each for each in epochs.epochs if each.compartment == compartment]
        return await self._epoch(found[0]) if found else None

    async def participant(self, participant: bytes) -> Message:
        """What partition 0 says of a participant, with its admission and rotations as proof.

        Raises:
            RefusedError: no such participant.
            TransportError: the store does not answer, or no checkpoint came.
        """
        row = self._authority.participant(participant)
        if row is None:
            raise RefusedError(Reason.UNKNOWN_PARTICIPANT, "not a participant of this network")
        return self._participant(row) | {"statements": [await self._proven(each) for each in row.statements]}

    def participants(self) -> Message:
        """All participants, without proofs."""
        return {"participants": [self._participant(row) for row in self._authority.participants()]}

    def subjects(self, asker: bytes, clock_ms: int) -> Message:
        """The subjects that the asker may read or is custodian of."""
        readable, kept = set(self._authority.readable(asker, clock_ms)), set(self._authority.in_custody(asker))
        told = []
        for subject in sorted(readable | kept):
            timeline = self._timeline(subject)
            about = {"kind": timeline.row.kind, "partition": timeline.partition, "next_seq": timeline.next_seq}
            told.append({"subject": encode_id(subject), "custodian": subject in kept, **about})
        return {"subjects": told}

    def grants(self, subject: bytes, asker: bytes, clock_ms: int) -> Message:
        """Active grants: all to custodians and holders of `manage`, to anyone else its own.

        Raises:
            RefusedError: no such subject.
        """
        timeline = self._timeline(subject)
        held = active(timeline.grants, self._authority.now_ms(timeline.partition, clock_ms))
        own = [grant for grant in held if grant.grantee == asker]
        sees_all = asker in timeline.row.custodians or any(MANAGE in grant.actions for grant in own)
        return {"subject": encode_id(subject), "grants": [_grant(each) for each in (held if sees_all else own)]}

    async def keys(self, subject: bytes, asker: bytes) -> Message:
        """The wraps that were made for the asker, which may read.

        Raises:
            RefusedError: no such subject, or the asker may not read it.
            TransportError: the store does not answer.
        """
        timeline = self._timeline(subject)
        if not self._authority.has_access(asker, subject, _clock_ms()):
            raise RefusedError(Reason.NO_GRANT, "the subject may not be read by this participant")
        wraps: list[Message] = []
        from_seq = 0
        while page := await self._store.read_control_entries(timeline.partition, subject, from_seq, _CONTROL_PAGE):
            wraps += await self._own_wraps(timeline.partition, subject, asker, page)
            from_seq = page[-1].seq + 1
        # Asked again at delivery: access may have ended while the database was read.
        if not self._authority.has_access(asker, subject, _clock_ms()):
            raise RefusedError(Reason.NO_GRANT, "the subject may not be read by this participant any more")
        return {"wraps": wraps}

    async def _own_wraps(
        self, partition: int, subject: bytes, asker: bytes, page: list[StoredControl]
    ) -> list[Message]:
        """Those that the entries of a page bring for the asker; a body has up to 500, so only its own are read."""
        places: dict[int, int] = {}
        for control in page:
            to = parse_statement(control.statement).control.get("to") or []
            if asker in to:
                places[control.seq] = to.index(asker)
        wraps = []
        mine = [control for control in page if control.seq in places]
        for begin in range(0, len(mine), _BODY_PAGE):
            some = mine[begin : begin + _BODY_PAGE]
            bodies = await self._store.read_bodies(partition, subject, [control.seq for control in some])
            for control in some:
                body = bodies.get(control.seq)
                wrap = None if body is None else _wrap_at(places[control.seq], body)
                if wrap is not None:
                    wraps.append({"statement": control.statement, "entry": control.entry, "wrap": wrap})
        return wraps

    async def receipt(self, digest: bytes) -> Message:
        """An accepted statement's entry and receipt, and the checkpoint that covers it.

        Raises:
            RefusedError: no such statement was accepted.
            TransportError: the store does not answer, or no checkpoint came.
        """
        entry = await self._find(digest)
        checkpoint = await self._checkpoint_covering(entry)
        receipt = await fetch_receipt(self._store, entry, checkpoint)
        return {"entry": entry.entry, "receipt": receipt, "checkpoint": checkpoint.note}

    async def checkpoint(self, partition: int) -> str:
        """The latest note of a partition.

        Raises:
            RefusedError: there is none (yet).
        """
        latest = await self._store.latest_checkpoint(partition)
        if latest is None:
            raise RefusedError("no_checkpoint", "no checkpoint of this partition was signed yet")
        return latest.note

    async def _epoch(self, epoch: EpochRow) -> Message:
        return {"epoch": epoch.current, "public": epoch.public, **await self._proven(epoch.begun_by)}

    async def _proven(self, digest: bytes) -> Message:
        entry = await self._find(digest)
        receipt = self._receipts.get(digest)
        if receipt is None:
            receipt = await fetch_receipt(self._store, entry, await self._checkpoint_covering(entry))
            self._receipts[digest] = receipt
            if len(self._receipts) > _KEPT_RECEIPTS:
                self._receipts.popitem(last=False)
        return {"statement": entry.statement, "entry": entry.entry, "receipt": receipt}

    async def _find(self, digest: bytes) -> StoredEntry:
        entry = await self._store.find_by_digest(digest)
        if entry is None:
            raise RefusedError("unknown_statement", "no statement of this digest was accepted")
        return entry

    async def _checkpoint_covering(self, entry: StoredEntry) -> StoredCheckpoint:
        try:
            async with asyncio.timeout(self._proof_s):
                while True:
                    found = await self._store.checkpoint_covering(entry.partition, entry.index)
                    if found is not None:
                        return found
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise TransportError(f"no checkpoint covers index {entry.index} within {self._proof_s:g} s") from None

    def _timeline(self, subject: bytes) -> Timeline:
        timeline = self._authority.timeline(subject)
        if timeline is None:
            raise RefusedError(Reason.UNKNOWN_SUBJECT, "no such subject was opened")
        return timeline

    def _participant(self, row: ParticipantRow) -> Message:
        return {
            "participant": encode_id(row.id),
            "name": row.name,
            "organisation": encode_id(row.organisation) if row.organisation else None,
            "roles": list(row.roles),
            "sign": row.sign,
            "hpke": row.hpke,
            "suspended": self._authority.is_suspended(row.id),
        }


def _wrap_at(place: int, body: bytes) -> bytes | None:
    """A body's wrap for one recipient. The log knows a body by its hash alone: its publisher may have sent nonsense."""
    try:
        wraps = cbor.decode(body)
    except EncodingError:
        return None
    wrap = wraps[place] if isinstance(wraps, list) and place < len(wraps) else None
    return wrap if isinstance(wrap, bytes) else None


def _grant(grant: GrantRow) -> Message:
    return {
        "grant": grant.id,
        "grantee": encode_id(grant.grantee),
        "actions": list(grant.actions),
        "compartments": list(grant.compartments),
        "history": grant.history,
        "from_seq": grant.from_seq,
        "until_ms": grant.until_ms,
        "purpose": grant.purpose,
    }


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
