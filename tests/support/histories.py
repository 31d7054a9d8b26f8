"""Random histories of a network, written by authors who mostly know what they do.

A history is a list of `Step`s, plain values that hypothesis draws and shrinks. `Author` turns each step into records:
it looks at the reference model to say something that is right at that moment (the current epoch, who decides, who
reads), then does to it what the step's twist says (an old epoch, another's key, a flipped bit, …). The model decides
every record at once; the real fold sees only the logs that come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ids import encode_id, sha256
from carenet.ledger.checkpoint import Checkpoint, origin_of
from carenet.ledger.notes import sign_note
from carenet.rules.prepare import RawRecord
from carenet.statements.records import RelayProof
from tests.support.actors import Actor, actor, hpke_public, sign, signing_key
from tests.support.model.naive_tree import naive_path, naive_root
from tests.support.model.partitions import ACCEPTED, Model
from tests.support.model.timeline import Line, Timeline
from tests.support.world import COMPARTMENTS, Message, Patient, World, epoch_ids, in_batch

HOUR_MS = 3_600_000
NULLABLE = ("organisation", "hpke", "until_ms")
CARE_TYPES = ("care.observation", "care.condition", "care.medicationdispense", "care.sealed", "care.observation")
ROLES = ("clinician", "lab", "pharmacy", "ems", "custodian", "authority")
ACTIONS: tuple[tuple[str, ...], ...] = (("read",), ("read", "write"), ("write",), ("manage",), ("read", "manage"))

# What happens to what was right. The header's and the payload's changes come before signing, the record's after.
TRIGGERS = (sha256(b"trigger 0"), sha256(b"trigger 1"))
HEADER_TWISTS = (
    "network",
    "old",
    "ahead",
    "cti",
    "rebuilt",
    "epoch",
    "compartment",
    "unknown patient",
    "trigger",
    "type",
)
PAYLOAD_TWISTS = (
    "proof",
    "unknown epoch",
    "fewer epochs",
    "more epochs",
    "more readers",
    "fewer readers",
    "no wraps",
    "roles",
)
SIGNER_TWISTS = ("stranger", "other's kid", "any signer")
RECORD_TWISTS = (
    "flip",
    "cut",
    "tail",
    "no body",
    "other body",
    "key",
    "partition",
    "no key",
    "no value",
    "no log time",
)


@dataclass(frozen=True)
class Step:
    """One thing that somebody does.

    Attributes:
        act: a method of `Author`.
        a, b, c: small numbers by which it chooses.
        twist: what is wrong with it, or "".
        wait_ms: how long after the last one.
    """

    act: str
    a: int
    b: int
    c: int
    twist: str = ""
    wait_ms: int = 0


ACTS = (
    "care", "care", "care", "care", "correct", "retract", "give", "give", "give_from_now_on", "withdraw", "begin",
    "share", "open", "admit", "rotate", "suspend", "relay", "relay", "relay", "relay_wrongly", "replay", "garbage",
    "change_clock", "draft", "draft", "post", "post", "post",
)  # fmt: skip


class Author:
    """Writes a network's logs.

    Attributes:
        world: actors and builders.
        model: the reference model, which decides each record as it is written.
        logs: the records of every partition.
    """

    def __init__(self) -> None:
        self.world = World()
        self.model = Model(self.world.genesis)
        self.logs: list[list[RawRecord]] = [[] for _ in self.model.partitions]
        self.actors = [
            self.world.hospital,
            self.world.clinician,
            self.world.lab,
            self.world.nurse,
            self.world.pharmacy,
            self.world.emergency,
            actor("clinic"),
            self.world.authority,
        ]
        self.newcomers = [actor(f"newcomer-{number}") for number in range(4)]
        self.patients = [self.world.patient(1), self.world.patient(0), self.world.patient(1, 1), self.world.patient(2)]
        self.drafts: list[Message] = []
        self.signer = self.world.stranger  # of the step's message
        self.broker_ahead_ms = 0
        self.mad_for = 0  # steps until the broker's clock is right again
        self.step = Step("", 0, 0, 0)

    def write(self, step: Step) -> None:
        """Carry out one step."""
        self.step = step
        self.world.clock_ms += step.wait_ms
        self.mad_for -= 1
        if self.mad_for < 0:
            self.broker_ahead_ms = 0
        act: Callable[[int, int, int], Message | None] = getattr(self, step.act)
        message = act(step.a, step.b, step.c)
        if message is not None:
            self._send(self._twist_payload(message))
            if message.statement.header.subject == self.world.network and step.c % 3 == 1:
                self.relay(step.a, 0, 0)

    # What people do.

    def care(self, a: int, b: int, c: int) -> Message:
        """Write care data."""
        patient, by = self._patient(a), self._pick(self.actors[1:5] if b < 7 else self.actors, b)
        compartment = COMPARTMENTS[c % 2 if c < 6 else 2]
        fitting = {"pharmacy": "care.medicationdispense", "lab": "care.observation"}.get(by.name)
        event_type = fitting if fitting and c < 7 else CARE_TYPES[c % len(CARE_TYPES)]
        return self._care(by, patient, compartment, {"type": event_type})

    def correct(self, a: int, b: int, c: int) -> Message:
        """Correct an earlier statement of the patient's timeline, mostly one's own."""
        patient = self._patient(a)
        line = self._line(patient, b)
        if line is None:
            return self.care(a, b, c)
        header = line.statement.header
        by = self._by_id(header.issuer) if c % 3 else self._pick(self.actors[1:4], c + b)
        return self._care(by, patient, header.compartment or "clinical", {"replaces": line.statement.digest})

    def retract(self, a: int, b: int, c: int) -> Message:
        """Retract an earlier statement."""
        patient = self._patient(a)
        line = self._line(patient, b)
        digest, compartment = (line.statement.digest, line.statement.header.compartment) if line else (None, "clinical")
        by = self._by_id(line.statement.header.issuer) if line and c % 4 else self._pick(self.actors[1:4], c + b)
        changes = self._changes({"replaces": digest, "compartment": compartment}, by, patient.id)
        digest, compartment = changes.pop("replaces"), changes.pop("compartment")
        return self.world.retract(self._signer(by), patient, digest, compartment, **changes)

    def give(self, a: int, b: int, c: int) -> Message:
        """Give a grant with history, or one that reads nothing."""
        patient, grantee = self._patient(a), self._pick(self.actors + self.newcomers, b)
        compartments, actions = self._compartments(c), ACTIONS[(b + c) % len(ACTIONS)]
        fields: dict[str, Any] = {}
        if "read" in actions:
            brings = [each for name in compartments for each, _ in self._epochs(patient).get(name, [])]
            fields = {"to": [grantee.id], "brings": brings or [bytes(16)]}
        return self._give(patient, grantee, c, {"compartments": compartments, "actions": actions} | fields)

    def give_from_now_on(self, a: int, b: int, c: int) -> Message:
        """Give a grant from now on, its epochs wrapped to all who read."""
        patient, grantee = self._patient(a), self._pick(self.actors + self.newcomers, b)
        compartments = self._compartments(c)
        epochs = self._next_epochs(patient, compartments)
        to = {grantee.id} | (self._readers(patient, compartments) if c % 2 else set())
        fields: dict[str, Any] = {"compartments": compartments, "history": False, "epochs": epochs}
        fields |= {"to": sorted(to), "brings": epoch_ids(epochs.values())}
        return self._give(patient, grantee, c, fields)

    def withdraw(self, a: int, b: int, c: int) -> Message:
        """End somebody's grants."""
        patient = self._patient(a)
        grants = [grant for grant in self._timeline(patient).grants(patient.id) if grant.ends is None or c == 7]
        grantee = self._by_id(grants[b % len(grants)].grantee) if grants else self._pick(self.actors, b)
        held = [grant for grant in grants if grant.grantee == grantee.id and "read" in grant.actions]
        compartments = sorted({name for grant in held for name in grant.compartments})
        epochs = self._next_epochs(patient, compartments)
        fields: dict[str, Any] = {"epochs": epochs} if epochs else {}
        if epochs and c % 2:
            to = self._readers(patient, compartments) - (set() if c == 5 else {grantee.id})
            fields |= {"to": sorted(to), "brings": epoch_ids(epochs.values())} if to else {}
        by = self._decider(patient, c)
        return self.world.withdraw(self._signer(by), patient, grantee, **fields, **self._changes({}, by, patient.id))

    def begin(self, a: int, b: int, c: int) -> Message:
        """Begin the next epochs of some compartments."""
        patient, compartments = self._patient(a), self._compartments(b)
        epochs = self._next_epochs(patient, compartments)
        fields: dict[str, Any] = {}
        if c % 2:
            to = self._readers(patient, compartments) | ({self.actors[5].id} if c == 7 else set())
            fields = {"to": sorted(to), "brings": epoch_ids(epochs.values())} if to else {}
        trigger = {"trigger": TRIGGERS[b % 2]} if c > 3 else {}
        by = self._custodian(patient, c)
        return self.world.begin(self._signer(by), patient, epochs, **fields, **self._changes(trigger, by, patient.id))

    def share(self, a: int, b: int, c: int) -> Message:
        """Share keys with those who read."""
        patient, name = self._patient(a), COMPARTMENTS[c % 2]
        known = [each for each, _ in self._epochs(patient).get(name, [])]
        brings = (known if b % 3 else known[-1:]) or [bytes(16)]
        to = self._readers(patient, [name])
        if b == 7:
            to.add(self._pick(self.actors, c).id)
        trigger = {"trigger": TRIGGERS[b % 2]} if c > 3 else {}
        by = self._custodian(patient, c)
        changes = self._changes({"part": b % 2 or None} | trigger, by, patient.id)
        return self.world.share(self._signer(by), patient, sorted(to) or [bytes(32)], brings, **changes)

    def open(self, a: int, b: int, c: int) -> Message:
        """Open a timeline."""
        patient = self._patient(a)
        custodians = [self._current(self.actors[0])] + ([self._current(self.actors[6])] if c % 2 else [])
        by = self._pick(self.actors, b) if b > 6 else self._current(self.actors[0])
        write = [("lab",), (), ("clinician", "pharmacy")][c % 3]
        compartments = COMPARTMENTS if c % 4 else (*COMPARTMENTS[:2],)
        changes = self._changes({}, by, patient.id)
        return self.world.open(self._signer(by), patient, custodians, write, compartments, **changes)

    def admit(self, a: int, b: int, c: int) -> Message:
        """Admit a newcomer, mostly by the hospital or the authority."""
        who = self._pick(self.newcomers if a < 7 else self.actors, a)
        by = self._current(self.actors[0] if b % 2 else self.actors[7]) if b < 6 else self._pick(self.actors, c)
        house = self._current(self.actors[0]) if b % 2 or c % 2 else None
        may_give = ["clinician"] if c == 4 else []
        changes = self._changes({}, by, self.world.network)
        return self.world.admit(self._signer(by), who, [ROLES[c % len(ROLES)]], house, may_give, **changes)

    def rotate(self, a: int, b: int, c: int) -> Message:
        """Rotate somebody's keys, mostly one's own."""
        who = self._pick(self.actors + self.newcomers[:2], a)
        by = who if b % 3 else self._pick(self.actors, c)
        new = who.with_key(f"{who.name}/{c % 4}" if c < 6 else who.name)
        return self.world.rotate(self._signer(by), who, new, **self._changes({}, by, self.world.network))

    def suspend(self, a: int, b: int, c: int) -> Message:
        """Suspend somebody, rarely one on whom much depends."""
        who = self._pick(self.actors[2:] + self.newcomers, a) if c < 6 else self._pick(self.actors, a)
        by = self._current(self.actors[7] if b % 2 else self.actors[0])
        return self.world.suspend(self._signer(by), who, **self._changes({}, by, self.world.network))

    def draft(self, a: int, b: int, c: int) -> None:
        """Sign something and keep it, while others go on."""
        act = (self.care, self.give, self.give_from_now_on, self.share, self.withdraw, self.care, self.begin)[c % 7]
        self.drafts.append(act(a, b, c))

    def post(self, a: int, b: int, c: int) -> Message | None:
        """Send what was signed earlier."""
        del b, c
        return self.drafts.pop(a % len(self.drafts)) if self.drafts else None

    # What nodes and machines do.

    def relay(self, a: int, b: int, c: int) -> None:
        """Relay what is next in every other partition, or only some of it, or something once more."""
        decided = self.model.partitions[0].timeline.of(self.world.network)
        for partition in self.model.partitions[1:]:
            known = len(partition.timeline.of(self.world.network))
            wanted = decided[known:] if c < 6 else decided[known : known + 1]
            if b >= 5 and decided:
                wanted = [decided[a % len(decided)]] if b == 7 else decided[known + 1 :]
            for line in wanted:
                self._append(partition.number, self._relay(line))

    def relay_wrongly(self, a: int, b: int, c: int) -> None:
        """Relay with a proof that does not hold."""
        decided = self.model.partitions[0].timeline.of(self.world.network)
        line = decided[-1 - a % len(decided)]
        message = self._relay(line)
        proof = message.proof
        assert proof is not None
        other = self._relay(decided[b % len(decided)])
        nodes = self.world.nodes
        wrong = (
            lambda: replace(message, proof=other.proof),
            lambda: replace(message, proof=replace(proof, path=proof.path[:-1])),
            lambda: replace(message, proof=replace(proof, index=proof.index + 1)),
            lambda: replace(message, proof=replace(proof, checkpoint=self._note(1, nodes[:2]))),
            lambda: self._relay(line, signers=nodes[:1]),
            lambda: self._relay(line, signers=[nodes[0], self.world.stranger]),
            lambda: replace(message, proof=replace(proof, entry=other.proof.entry if other.proof else b"")),
            lambda: replace(message, body=b"body"),
        )
        self._append(1 + b % 2, wrong[c]())

    def replay(self, a: int, b: int, c: int) -> None:
        """Send an earlier record again, whatever became of it."""
        log = self.logs[b % len(self.logs)]
        if log:
            record = log[-1 - (a * 8 + c) % len(log)]
            self._append_raw(b % len(self.logs), record.key, record.value)

    def garbage(self, a: int, b: int, c: int) -> None:
        """Send bytes of no meaning."""
        garbage = (None, b"", b"\x00", b"\x82\x40\xf6", b"\x81" * 40, b"\x82\x41\xd2\xf6", sha256(bytes([a])), b"\x9f")
        key = encode_id(self.patients[a % 4].id).encode()
        self._append_raw(b % 3, key, garbage[c])

    def change_clock(self, a: int, b: int, c: int) -> None:
        """Another broker leads, whose clock is off; mostly the clocks come back together."""
        self.mad_for = 1 + b % 3
        self.broker_ahead_ms = (0, 60_000, 2 * HOUR_MS, -2 * HOUR_MS, 600_000, -60_000, HOUR_MS, 2**53)[c]
        if a == 7:
            self.world.clock_ms += 3 * HOUR_MS

    # Choosing.

    def _pick(self, among: list[Actor], number: int) -> Actor:
        return self._current(among[number % len(among)])

    def _current(self, who: Actor) -> Actor:
        """The actor with the keys that partition 0 knows, as it knows them itself."""
        person = self.model.partitions[0].timeline.people().get(who.id)
        if person is None or person.sign == who.key.public:
            return who
        labels = [f"{who.name}/{number}" for number in range(4)] + [who.name]
        return next(who.with_key(label) for label in labels if signing_key(label).public == person.sign)

    def _by_id(self, participant: bytes) -> Actor:
        known = [each for each in self.actors + self.newcomers if each.id == participant]
        return self._current(known[0]) if known else self.world.stranger

    def _patient(self, number: int) -> Patient:
        opened = [each for each in self.patients if self._timeline(each).opening(each.id)]
        unopened = [each for each in self.patients if each not in opened]
        if self.step.act == "open":
            return (
                (unopened or opened)[number % len(unopened or opened)] if number < 6 else opened[number % len(opened)]
            )
        return opened[number % len(opened)] if number < 7 or self.step.b % 2 or not unopened else unopened[0]

    def _timeline(self, patient: Patient) -> Timeline:
        return self.model.partitions[self.model.partition_of(patient.id)].timeline

    def _epochs(self, patient: Patient) -> dict[str, list[tuple[bytes, int]]]:
        return self._timeline(patient).epochs(patient.id)

    def _next_epochs(self, patient: Patient, compartments: list[str]) -> dict[str, bytes]:
        known = self._epochs(patient)
        return {
            name: patient.epoch(name, len(known.get(name, [])) + 10 * (self.step.twist == "epoch"))
            for name in compartments
        }

    def _line(self, patient: Patient, number: int) -> Line | None:
        lines = self._timeline(patient).of(patient.id)
        care = [line for line in lines if line.type.startswith("care.")] if number < 7 else lines
        return care[-1 - number % len(care)] if care else None

    def _compartments(self, number: int) -> list[str]:
        return [["clinical"], ["medication"], ["clinical", "medication"], ["identity"]][number % 4]

    def _readers(self, patient: Patient, compartments: list[str]) -> set[bytes]:
        """Who may hold keys of all these compartments from now on."""
        timeline = self._timeline(patient)
        opening = timeline.opening(patient.id)
        grants = [each for each in timeline.grants(patient.id) if "read" in each.actions and each.ends is None]
        fit = {each.grantee for each in grants if set(compartments) <= set(each.compartments)}
        return fit | set(opening["custodians"] if opening else [])

    def _decider(self, patient: Patient, number: int) -> Actor:
        decider = self._timeline(patient).decider(patient.id)
        return self._by_id(decider) if decider and number < 7 else self._pick(self.actors, number + self.step.b)

    def _custodian(self, patient: Patient, number: int) -> Actor:
        opening = self._timeline(patient).opening(patient.id)
        held = opening["custodians"] if opening else []
        return self._by_id(held[number % len(held)]) if held and number != 6 else self._pick(self.actors, self.step.b)

    # Building.

    def _care(self, by: Actor, patient: Patient, compartment: str, changes: dict[str, Any]) -> Message:
        known = self._epochs(patient).get(compartment)
        changes = self._changes({"compartment": compartment} | changes, by, patient.id)
        changes.setdefault("tag", sha256(changes.get("cti", b"") + b"tag")[:16] if "cti" in changes else None)
        compartment, epoch = changes.pop("compartment"), known[-1][0] if known else bytes(16)
        signer = self._signer(by)
        message = self.world.care(signer, patient, epoch, compartment, **changes)
        if self.step.b % 3:
            return message
        # One of a batch, in the company of one that nobody ever sends.
        unsent = self.world.care(signer, patient, epoch, compartment, **changes)
        return in_batch(signer, [unsent, message, unsent])[1]

    def _give(self, patient: Patient, grantee: Actor, number: int, fields: dict[str, Any]) -> Message:
        until = (None, None, None, self.world.clock_ms + 60_000, None, self.world.clock_ms + HOUR_MS, None, 1)[number]
        by = self._decider(patient, self.step.a)
        changes = self._changes({}, by, patient.id)
        return self.world.give(self._signer(by), patient, grantee, until_ms=until, **fields, **changes)

    def _signer(self, by: Actor) -> Actor:
        twist = self.step.twist
        if twist == "stranger":
            by = self.world.stranger
        elif twist == "other's kid":
            by = replace(by, key=self._pick(self.actors, self.step.a + 1).key)
        elif twist == "any signer":
            by = self._pick(self.actors, self.step.a + self.step.b)
        self.signer = by
        return by

    def _twist_payload(self, message: Message) -> Message:
        """A control statement with one field of its payload twisted, signed anew."""
        twist, said = self.step.twist, message.statement.control
        if twist not in PAYLOAD_TWISTS or not said or self.step.act == "post":
            return message
        emergency, another = self.actors[5].id, [hpke_public("another")]
        twists: dict[str, Callable[[], dict[str, Any]]] = {
            "proof": lambda: {"proof": bytes(64)} if "proof" in said else {},
            "unknown epoch": lambda: {"brings": [*said["brings"], bytes(16)]} if "brings" in said else {},
            "fewer epochs": lambda: {"brings": said["brings"][:-1] or [bytes(16)]} if "brings" in said else {},
            "more epochs": lambda: {"epochs": said["epochs"] | {"identity": another[0]}} if "epochs" in said else {},
            "more readers": lambda: {"to": [*said["to"], emergency]} if "to" in said else {},
            "fewer readers": lambda: {"to": said["to"][:-1] or [emergency]} if "to" in said else {},
            "no wraps": lambda: {"to": None} if "to" in said else {},
            "roles": lambda: {"roles": ["node"]} if "roles" in said else {},
        }
        fields = {key: value for key, value in (said | twists[twist]()).items() if value is not None or key in NULLABLE}
        return replace(message, statement=sign(self.signer, message.statement.header, fields))

    def _changes(self, right: dict[str, Any], by: Actor, subject: bytes) -> dict[str, Any]:
        """A header's fields, one of them twisted."""
        lines = self.model.partitions[self.model.partition_of(subject)].timeline.of(subject)
        used = [line.statement.header for line in lines if line.statement.header.issuer == by.id]
        twists: dict[str, Callable[[], dict[str, Any]]] = {
            "network": lambda: {"network": bytes(32)},
            "old": lambda: {"iat_s": self.world.clock_ms // 1000 - 3601},
            "ahead": lambda: {"iat_s": self.world.clock_ms // 1000 + 302},
            "cti": lambda: {"cti": used[-1].cti, "tag": None} if used else {},
            "rebuilt": lambda: {"cti": used[-1].cti, "tag": used[-1].tag} if used else {"tag": bytes(16)},
            "epoch": lambda: {"epoch": sha256(b"old")[:16]},
            "compartment": lambda: {"compartment": ("gossip", None, "medication")[self.step.c % 3]},
            "unknown patient": lambda: {"subject": self.world.patient(1, 7).id},
            "trigger": lambda: {"trigger": TRIGGERS[0]},
            "type": lambda: {"type": ("rx.issue", "care.note", "grant.give", "participant.admit")[self.step.a % 4]},
        }
        return right | twists.get(self.step.twist, dict)()

    def _relay(self, line: Line, signers: list[Actor] | None = None) -> Message:
        decided = self.model.partitions[0].timeline.lines
        index = decided.index(line)
        size = len(decided) if self.step.a % 2 else max(index + 1, len(decided) - self.step.b)
        leaves = [each.entry for each in decided[:size]]
        note = self._note(size, self.world.nodes[: self.world.genesis.quorum] if signers is None else signers)
        return Message(line.statement, None, RelayProof(line.entry, index, tuple(naive_path(index, leaves)), note))

    def _note(self, size: int, signers: list[Actor]) -> str:
        leaves = [each.entry for each in self.model.partitions[0].timeline.lines[:size]]
        origin = origin_of(self.world.network, 0)
        text = Checkpoint(origin, size, naive_root(leaves)).text()
        return text + "\n" + "".join(sign_note(text, origin, each.key).partition("\n\n")[2] for each in signers)

    # Writing.

    def _send(self, message: Message) -> None:
        """Put a message where it belongs, unless the step's twist spoils the record."""
        twist, number = self.step.twist, self.step.a * 64 + self.step.b * 8 + self.step.c
        key: bytes | None = message.key
        partition = self.model.partition_of(message.statement.header.subject)
        if twist == "no body":
            message = replace(message, body=None if message.body else b"body")
        elif twist == "other body":
            message = replace(message, body=b"another's")
        value: bytes | None = message.value
        if twist == "flip":
            value = _flip(message.value, number * 61 % (8 * len(message.value)))
        elif twist in {"cut", "tail"}:
            value = (
                message.value[: number % len(message.value)]
                if twist == "cut"
                else message.value + bytes(1 + number % 3)
            )
        elif twist == "key":
            key = encode_id(self.patients[number % 4].id).encode()
        elif twist == "partition":
            partition = number % 3
        elif twist in {"no key", "no value"}:
            key, value = (None, value) if twist == "no key" else (key, None)
        self._append_raw(partition, key, value, is_log_append_time=twist != "no log time")

    def _append(self, partition: int, message: Message) -> None:
        self._append_raw(partition, message.key, message.value)

    def _append_raw(
        self, partition: int, key: bytes | None, value: bytes | None, *, is_log_append_time: bool = True
    ) -> None:
        log = self.logs[partition]
        offset = log[-1].offset + 1 + (self.step.c == 7) if log else 0  # gaps are legal
        timestamp_ms = self.world.clock_ms + self.broker_ahead_ms
        log.append(RawRecord(offset, key, value, timestamp_ms, is_log_append_time))
        self.model.partitions[partition].decide(log[-1])


def _flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@cache
def _founding() -> Author:
    author = Author()
    world = author.world
    house, gives = ["registrar", "custodian"], ["clinician", "ems", "lab"]
    hospital, clinic = world.hospital, actor("clinic")
    founding = [
        world.admit(world.authority, hospital, house, may_give=gives),
        world.admit(world.authority, clinic, house, may_give=gives),
        world.admit(hospital, world.clinician, ["clinician"], hospital),
        world.admit(hospital, world.nurse, ["clinician"], hospital),
        world.admit(world.authority, world.lab, ["lab"], hpke=None),
        world.admit(world.authority, world.pharmacy, ["pharmacy"]),
        world.admit(world.authority, world.emergency, ["emergency"]),
    ]
    for message in founding:
        author._append(0, message)
    author.write(Step("relay", 1, 0, 0))
    for patient in author.patients[:2]:
        partition = author.model.partition_of(patient.id)
        author._append(partition, world.open(hospital, patient, [hospital, clinic], write=["lab", "pharmacy"]))
        brings = epoch_ids([patient.epoch("clinical", 0), patient.epoch("medication", 0)])
        given = world.give(
            hospital,
            patient,
            world.clinician,
            compartments=["clinical", "medication"],
            actions=["read", "write"],
            to=[world.clinician.id],
            brings=brings,
        )
        author._append(partition, given)
        author._append(partition, world.give(hospital, patient, hospital, actions=["write"]))
    assert all(verdict == ACCEPTED for partition in author.model.partitions for verdict in partition.verdicts)
    assert compute_thumbprint(hospital.key.public) in author.model.partitions[2].timeline.people()
    return author


def found() -> Author:
    """An author in a network that is at work: all admitted, one patient open in partition 1 and one in partition 0."""
    founding = _founding()
    author = Author()
    author.model, author.logs = founding.model.copy(), [list(log) for log in founding.logs]
    author.world._cti = iter(range(10_000, 10**9))  # type: ignore[assignment]
    return author
