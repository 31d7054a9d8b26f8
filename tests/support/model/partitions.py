"""The reference model: what ARCHITECTURE sections 4 to 6 say, as plainly and slowly as it can be said.

Nothing is kept but each partition's timeline, a list of accepted lines; whatever a decision needs is found by reading
that list from its beginning. The tree is the recursive definition of RFC 6962, entries are encoded by cbor2, and
nothing of `carenet.rules` decides here (its roles.toml is read, since people may change that table). Parsing one
statement is left to `carenet.statements`, which has its own tests.

A verdict is the set of reasons that fit: empty for accepted, and more than one where a single step of the checks (a
rulebook's own transition, say) breaks several rules at once, since the text does not order them.
"""

from __future__ import annotations

import base64

import cbor2
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from carenet.encoding.ids import encode_id
from carenet.errors import EncodingError, StatementError
from carenet.rules.prepare import RawRecord
from carenet.statements.genesis import Genesis
from carenet.statements.records import RecordValue, decode_record, murmur2
from carenet.statements.statement import Statement, parse_statement
from tests.support.model.case import Case
from tests.support.model.naive_tree import naive_path, naive_root, sha256
from tests.support.model.timeline import Line, Timeline
from tests.support.model.transitions import transition

Verdict = frozenset[str]
ACCEPTED: Verdict = frozenset()


class Model:
    """A network's partitions, decided record by record."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.network = genesis.network_id
        self.partitions = [Partition(self, number) for number in range(genesis.partitions)]

    def copy(self) -> Model:
        """A model that goes its own way from here."""
        twin = Model(self.genesis)
        for mine, theirs in zip(self.partitions, twin.partitions, strict=True):
            theirs.timeline.lines, theirs.time = list(mine.timeline.lines), mine.time
            theirs.verdicts = list(mine.verdicts)
        return twin

    def partition_of(self, subject: bytes) -> int:
        """Where a subject belongs."""
        if subject == self.network:
            return 0
        return (murmur2(encode_id(subject).encode()) & 0x7FFFFFFF) % self.genesis.partitions


class Partition:
    """One partition: its timeline, its time, and the verdict on every record."""

    def __init__(self, model: Model, number: int) -> None:
        self.model, self.number = model, number
        self.timeline = Timeline(model.genesis)
        self.time = 0
        self.verdicts: list[Verdict] = []

    def decide(self, record: RawRecord) -> Verdict:
        """Accept or refuse the next record of the log."""
        verdict = self._decide(record)
        self.verdicts.append(verdict)
        return verdict

    def _decide(self, record: RawRecord) -> Verdict:
        unreadable = _check_record(record)
        if unreadable:
            return unreadable
        assert record.value is not None
        try:
            value = decode_record(record.value)
            statement = parse_statement(value.statement)
        except EncodingError:
            return _no("bad_encoding")
        except StatementError:
            return _no("bad_statement")
        header = statement.header
        if header.network != self.model.network:
            return _no("wrong_network")
        if record.key != encode_id(header.subject).encode():
            return _no("wrong_key")
        if value.proof is not None:
            return self._decide_relay(value, statement)
        if self.model.partition_of(header.subject) != self.number:
            return _no("wrong_partition")
        now_ms = max(self.time, record.timestamp_ms)
        verdict = _judge(Case(self.timeline, statement, value.body, now_ms))
        if verdict == ACCEPTED:
            self.time = now_ms
            self._append(statement, value.body, now_ms)
        return verdict

    def _append(self, statement: Statement, body: bytes | None, now_ms: int) -> None:
        subject = statement.header.subject
        before = self.timeline.of(subject)
        prev = sha256(b"\x00" + before[-1].entry) if before else bytes(32)
        entry = cbor2.dumps([1, subject, len(before), prev, statement.digest, now_ms])
        self.timeline.lines.append(Line(statement, body, len(before), entry))

    def _decide_relay(self, value: RecordValue, statement: Statement) -> Verdict:
        assert value.proof is not None
        if self.number == 0 or statement.header.subject != self.model.network:
            return _no("relay_proof")
        decided = self.model.partitions[0].timeline.lines
        found = [place for place, line in enumerate(decided) if line.statement.digest == statement.digest]
        size = self._proven_size(value.proof.checkpoint)
        leaves = [line.entry for line in decided[:size]]
        proof = value.proof
        if not found or not found[0] < size or (proof.entry, proof.index) != (decided[found[0]].entry, found[0]):
            return _no("relay_proof")
        if list(proof.path) != naive_path(proof.index, leaves):
            return _no("relay_proof")
        line, here = decided[found[0]], self.timeline.of(self.model.network)
        if line.seq < len(here):
            return _no("duplicate")
        if line.seq > len(here):
            return _no("relay_gap")
        if value.body is not None:
            return _no("body_unexpected")
        self.timeline.lines.append(Line(statement, None, line.seq, line.entry))
        return ACCEPTED

    def _proven_size(self, note: str) -> int:
        """The size of a checkpoint of partition 0 with a quorum's lines, or 0 where it is none."""
        text, separator, lines = note.rpartition("\n\n")
        parts = text.split("\n")
        origin = f"{encode_id(self.model.network)}/0"
        if not separator or len(parts) != 3 or parts[0] != origin or not parts[1].isdigit():
            return 0
        signed = (text + "\n").encode()
        quorum = set()
        for line in lines.splitlines():
            _, name, encoded = line.split(" ")
            raw = base64.b64decode(encoded)
            for node in self.model.genesis.nodes:
                key_id = sha256(origin.encode() + b"\n\x01" + node.sign)[:4]
                if (name, raw[:4]) == (origin, key_id):
                    try:
                        VerifyKey(node.sign).verify(signed, raw[4:])
                    except (BadSignatureError, ValueError):
                        return 0
                    quorum.add(node.sign)
        size = int(parts[1])
        decided = self.model.partitions[0].timeline.lines[:size]
        root = base64.b64encode(naive_root([line.entry for line in decided])).decode()
        is_true = len(decided) == size and parts[2] == root and len(quorum) >= self.model.genesis.quorum
        return size if is_true else 0


def _check_record(record: RawRecord) -> Verdict:
    if not record.key:
        return _no("key_missing")
    if record.value is None:
        return _no("value_missing")
    if not record.is_log_append_time or not 0 <= record.timestamp_ms < 2**53:
        return _no("no_log_time")
    return _no("oversized") if len(record.value) > 900 * 1024 else ACCEPTED


def _judge(case: Case) -> Verdict:
    """The reasons of the first step that refuses."""
    for step in case.steps():
        reasons = frozenset(step)
        if reasons:
            return reasons
    return frozenset(transition(case))


def _no(reason: str) -> Verdict:
    return frozenset({reason})
