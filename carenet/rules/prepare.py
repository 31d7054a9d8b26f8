"""The stateless half of deciding a record: parse, hash and, when a key is offered, verify; safe to run in parallel.

`prepare` makes the checks that need no state, in their order, and keeps the first fault. The fold takes the fault as
the decision, so what is computed here can be computed anywhere, any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import NamedTuple

from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import EncodingError, StatementError
from carenet.rules.effects import KEPT_BYTES
from carenet.rules.reasons import Reason
from carenet.rules.rows import IdempotencyKey
from carenet.statements.genesis import Genesis
from carenet.statements.plain_care import read_plain_care
from carenet.statements.records import MAX_RECORD_BYTES, NETWORK_PARTITION, RelayProof, decode_record, partition_of
from carenet.statements.statement import Statement, parse_statement

_ID_BYTES = 16  # of SHA-256(iss ‖ cti)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where records are decided: a network's constants and the partition.

    Attributes:
        genesis: the network's.
        partition: the partition's number.
        network: the network's id, 32 bytes.
        network_key: the same as text.
    """

    genesis: Genesis
    partition: int
    network: bytes
    network_key: str


def scope_of(genesis: Genesis, partition: int) -> Scope:
    """The scope of one partition of a network."""
    network = genesis.network_id
    return Scope(genesis, partition, network, encode_id(network))


@dataclass(slots=True)  # never changed; not frozen, which costs a microsecond for each record
class RawRecord:
    """A Kafka record as it came.

    Attributes:
        offset: its place in the partition.
        key: the record's key, or None.
        value: the record's value, or None.
        timestamp_ms: the record's time.
        is_log_append_time: whether the broker set that time.
    """

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    is_log_append_time: bool


class Permit(NamedTuple):
    """An earlier judgement that holds for a record too (`carenet.rules.permits`).

    Attributes:
        public: the signer's current key.
        until_ms: the log time at which it ends by itself, or None.
    """

    public: bytes
    until_ms: int | None


@dataclass(slots=True)
class Prepared:
    """A record with everything about it that does not depend on state.

    Attributes:
        offset, timestamp_ms: of the record.
        head: the first 1,024 bytes of its value.
        fault: the first stateless check that failed, and its detail.
        statement, body, proof: what could be read.
        body_fault: why the body is not what the statement names, or None; kept apart from `fault` because the fold asks
            it later in the order of checks.
        id_key: the key of the statement's (subject, issuer, cti), where a statement could be read.
        permit: what the fold need not judge again, or None.
        is_alike: whether an earlier record of its batch asks for all rows that this one needs.
    """

    offset: int
    timestamp_ms: int
    head: bytes
    fault: tuple[Reason, str] | None = None
    statement: Statement | None = None
    body: bytes | None = None
    proof: RelayProof | None = None
    body_fault: Reason | None = None
    id_key: IdempotencyKey | None = None
    permit: Permit | None = None
    is_alike: bool = False
    _verified: tuple[bytes, bool] | None = None  # a key, and whether the signature holds under it

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the statement's signature holds under a key; the last key's answer is kept."""
        assert self.statement is not None
        if self._verified is None or self._verified[0] != public:
            self._verified = (public, self.statement.is_signed_by(public))
        return self._verified[1]


def prepare(raw: RawRecord, scope: Scope) -> Prepared:
    """Read a record and make the stateless checks: key, value, time's type, size, encoding, network, routing."""
    prepared = Prepared(raw.offset, raw.timestamp_ms, (raw.value or b"")[:KEPT_BYTES])
    prepared.fault = _read(raw, scope, prepared) or _route(raw, scope, prepared)
    return prepared


def _read(raw: RawRecord, scope: Scope, prepared: Prepared) -> tuple[Reason, str] | None:
    if not raw.key:
        return Reason.KEY_MISSING, "a record's key is its subject's id"
    if raw.value is None:
        return Reason.VALUE_MISSING, "a record has a value"
    if not raw.is_log_append_time:
        return Reason.NO_LOG_TIME, "the topic must use message.timestamp.type=LogAppendTime"
    if not 0 <= raw.timestamp_ms <= MAX_INT:  # a mad broker's; no entry could hold it
        return Reason.NO_LOG_TIME, "the record's time is outside 0..2**53 - 1"
    if len(raw.value) > MAX_RECORD_BYTES:
        return Reason.OVERSIZED, f"{len(raw.value)} bytes; at most {MAX_RECORD_BYTES}"
    plain = read_plain_care(raw.value)
    if plain is not None:
        prepared.statement, prepared.body = plain
    else:
        try:
            value = decode_record(raw.value)
            prepared.statement = parse_statement(value.statement)
        except EncodingError as exc:
            return Reason.BAD_ENCODING, str(exc)
        except StatementError as exc:
            return Reason.BAD_STATEMENT, str(exc)
        prepared.body, prepared.proof = value.body, value.proof
    prepared.body_fault = _check_body(prepared.statement, prepared.body)
    header = prepared.statement.header
    prepared.id_key = IdempotencyKey(header.subject, sha256(header.issuer + header.cti)[:_ID_BYTES])
    if header.network != scope.network:
        return Reason.WRONG_NETWORK, "net is another network's id"
    return None


def _check_body(statement: Statement, body: bytes | None) -> Reason | None:
    named = statement.body_hash
    if named is None:
        return None if body is None else Reason.BODY_UNEXPECTED
    if body is None:
        return Reason.BODY_MISSING
    return None if compare_digest(sha256(body), named) else Reason.BODY_MISMATCH


def _route(raw: RawRecord, scope: Scope, prepared: Prepared) -> tuple[Reason, str] | None:
    assert prepared.statement is not None
    subject_key = encode_id(prepared.statement.header.subject)
    if raw.key != subject_key.encode():
        return Reason.WRONG_KEY, "the record's key is not the statement's sub"
    if prepared.proof is not None:
        if scope.partition == NETWORK_PARTITION or subject_key != scope.network_key:
            return Reason.RELAY_PROOF, "only network statements are relayed, and never to partition 0"
        return None  # a relay's partition is every other one; the fold checks its proof
    expected = partition_of(subject_key, scope.network_key, scope.genesis.partitions)
    if expected != scope.partition:
        return Reason.WRONG_PARTITION, f"this subject belongs in partition {expected}"
    return None
