"""A bare client of the gateway, in either subprotocol, that does what a test says, and a node without Kafka.

`Client` speaks frames; nothing of the SDK is used. `House` folds messages straight into a real store, as the worker
would, and signs checkpoints when asked.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from carenet.encoding import cbor
from carenet.encoding.ids import encode_id
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.notes import sign_note
from carenet.ledger.receipts import build_receipt
from carenet.rules.effects import Accepted, Rejected
from carenet.rules.prepare import RawRecord, scope_of
from carenet.statements.challenge import encode_challenge
from carenet.store.proofs import fetch_inclusion
from carenet.store.store import Store
from carenet.store.stored import StoredCheckpoint
from tests.support.actors import Actor
from tests.support.folding import decide
from tests.support.waiting import STRETCH
from tests.support.world import COMPARTMENTS, Message, Patient, World, epoch_ids

CBOR, JSON = "carenet.v1.cbor", "carenet.v1.json"


def text(raw: bytes) -> str:
    """Bytes as they stand in messages."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw(value: str) -> bytes:
    """The reverse of `text`."""
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


@dataclass
class Client:
    """One connection.

    Attributes:
        socket: the WebSocket.
        pushes: what came and was not an answer that somebody waited for, in order.
    """

    socket: ClientConnection
    pushes: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    @classmethod
    async def dial(cls, url: str, **options: Any) -> Client:
        """Connect; nothing is said yet."""
        options = {"subprotocols": [Subprotocol(JSON)], "compression": None, "max_size": None} | options
        return cls(await connect(url, **options))

    @classmethod
    async def enter(cls, url: str, who: Actor, **options: Any) -> Client:
        """Connect and sign in."""
        client = await cls.dial(url, **options)
        challenge = await client.receive()
        await client.send(hello(challenge, who))
        assert (await client.receive())["type"] == "welcome"
        return client

    async def send(self, message: dict[str, Any]) -> None:
        """One frame."""
        if self.socket.subprotocol == CBOR:
            await self.socket.send(cbor.encode(message))
        else:
            await self.socket.send(orjson.dumps(message), text=True)

    async def receive(self, timeout_s: float = 5.0) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(timeout_s * STRETCH):
            frame = await self.socket.recv()
        return dict(cbor.decode(frame) if isinstance(frame, bytes) else orjson.loads(frame))

    async def begin(self, kind: str, **fields: Any) -> int:
        """Put a question and do not wait."""
        number: int = next(self._numbers)
        await self.send({"type": kind, "id": number, **fields})
        return number

    async def answer(self, number: int, timeout_s: float = 5.0) -> dict[str, Any]:
        """The answer to a question; pushes that come first are kept."""
        while True:
            message = await self.receive(timeout_s)
            if message.get("id") == number:
                return message
            self.pushes.append(message)

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Put a question and wait for its answer."""
        return await self.answer(await self.begin(kind, **fields))

    async def until(self, holds: Callable[[dict[str, Any]], bool], timeout_s: float = 5.0) -> dict[str, Any]:
        """Read on until a push fits; all that came is in `pushes`."""
        for message in self.pushes:
            if holds(message):
                return message
        while True:
            message = await self.receive(timeout_s)
            self.pushes.append(message)
            if holds(message):
                return message

    async def caught_up(self) -> None:
        """Read on until nothing is behind."""
        await self.until(lambda message: message["type"] == "caught_up" and message["all"])

    def entries(self) -> list[int]:
        """Indexes of the entries that were pushed, in order."""
        return [message["index"] for message in self.pushes if message["type"] == "entry"]

    async def closed(self, timeout_s: float = 5.0) -> int:
        """Wait for the end; the close code."""
        async with asyncio.timeout(timeout_s * STRETCH):
            await self.socket.wait_closed()
        assert self.socket.close_code is not None
        return self.socket.close_code


def hello(challenge: dict[str, Any], who: Actor, **changes: Any) -> dict[str, Any]:
    """The right answer to a challenge, with some of it changed."""
    nonce = b"c" * 32
    speaks_cbor = isinstance(challenge["nonce"], bytes)
    theirs = challenge["nonce"] if speaks_cbor else raw(challenge["nonce"])
    signed_id = changes.pop("signed_id", who.id)
    signed = encode_challenge(raw(challenge["network"]), challenge["origin"], theirs, nonce, signed_id)
    fields: dict[str, Any] = {"kid": who.kid, "nonce": nonce, "signature": who.key.sign(signed)}
    if not speaks_cbor:
        fields = {name: text(value) for name, value in fields.items()}
    return {"type": "hello", "participant": encode_id(who.id), **fields, **changes}


@dataclass
class House:
    """A node's store and the people; everything lives in partition 0.

    Attributes:
        store: open and seeded.
        world: the actors; its clock is now.
        patient, other: two patients with open timelines, once `found` is done.
    """

    store: Store
    world: World
    _offset: int = 0

    @property
    def patient(self) -> Patient:
        """The first patient."""
        return self.world.patient(0, 0)

    @property
    def other(self) -> Patient:
        """The second patient."""
        return self.world.patient(0, 1)

    @property
    def next_offset(self) -> int:
        """The offset of the next record."""
        return self._offset

    def skip_offset(self) -> None:
        """A gap, as transactions leave them."""
        self._offset += 1

    async def publish(self, *messages: Message | bytes) -> list[Accepted | Rejected]:
        """Fold messages (or any bytes under the patient's key) in one batch and commit."""
        self.world.clock_ms = max(self.world.clock_ms, time.time_ns() // 1_000_000)
        records = []
        for message in messages:
            key, value = (message.key, message.value) if isinstance(message, Message) else (b"key", message)
            records.append(RawRecord(self._offset, key, value, self.world.clock_ms, is_log_append_time=True))
            self._offset += 1
        effects = await decide(self.store, scope_of(self.world.genesis, 0), records)
        await self.store.commit(effects)
        decided: list[Accepted | Rejected] = [*effects.accepted, *effects.rejected]
        outcomes = {each.offset: each for each in decided}
        return [outcomes[record.offset] for record in records]

    async def accept(self, *messages: Message) -> list[Accepted]:
        """Publish what must be accepted."""
        outcomes = await self.publish(*messages)
        refused = [(each.reason, each.detail) for each in outcomes if isinstance(each, Rejected)]
        assert not refused, refused
        return [each for each in outcomes if isinstance(each, Accepted)]

    async def found(self) -> None:
        """Admit people, open two timelines; the clinician may write, and read the first with history."""
        world = self.world
        await self.accept(
            world.admit(world.authority, world.hospital, ["registrar", "custodian"], may_give=["clinician"]),
            world.admit(world.hospital, world.clinician, ["clinician"], world.hospital),
            world.admit(world.hospital, world.nurse, ["clinician"], world.hospital),
            world.admit(world.authority, world.emergency, ["emergency"]),
        )
        await self.accept(*(world.open(world.hospital, each, [world.hospital], ["clinician"]) for each in self.both))
        await self.accept(self.give(world.clinician))

    @property
    def both(self) -> tuple[Patient, Patient]:
        """Both patients."""
        return self.patient, self.other

    def give(self, who: Actor, patient: Patient | None = None, **fields: Any) -> Message:
        """A grant to read everything, with history, while the first epochs are current."""
        patient = patient or self.patient
        compartments = fields.pop("compartments", COMPARTMENTS)
        brings = epoch_ids(patient.epoch(each, fields.pop("epoch", 0)) for each in compartments)
        fields = {"to": [who.id], "brings": brings} | fields
        return self.world.give(self.world.hospital, patient, who, compartments=compartments, **fields)

    def withdraw(self, who: Actor, number: int = 1, patient: Patient | None = None) -> Message:
        """Withdrawing all that somebody has, with the next epochs."""
        patient = patient or self.patient
        epochs = {each: patient.epoch(each, number) for each in COMPARTMENTS}
        brings, to = epoch_ids(epochs.values()), [self.world.hospital.id]
        return self.world.withdraw(self.world.hospital, patient, who, epochs=epochs, brings=brings, to=to)

    def care(self, patient: Patient | None = None, epoch: int = 0, **changes: Any) -> Message:
        """An observation by the clinician."""
        patient = patient or self.patient
        compartment = changes.pop("compartment", "clinical")
        sealed_to = epoch_ids([patient.epoch(compartment, epoch)])[0]
        return self.world.care(self.world.clinician, patient, sealed_to, compartment, **changes)

    async def sign_checkpoint(self) -> StoredCheckpoint:
        """Sign the log as it is."""
        state = await self.store.load_state(0)
        key = self.world.nodes[0].key
        checkpoint = Checkpoint(origin_of(self.world.network, 0), state.tree.size, state.tree.root())
        last = (await self.store.read_entries(0, state.tree.size - 1, 1))[0]
        path = await fetch_inclusion(self.store, 0, last.index, state.tree.size)
        receipt = build_receipt(checkpoint, last.entry, last.index, path, key)
        note = sign_note(checkpoint.text(), checkpoint.origin, key)
        signed = StoredCheckpoint(0, state.tree.size, note, receipt)
        await self.store.save_checkpoint(signed)
        return signed
