"""The fold: a pure function from one partition's records to its timelines (ARCHITECTURE section 5).

Checks, in order, each with its own reason code (`carenet.rules.reasons`):
 1. key and value present, time set by the broker, size, encoding, network, routing  (`prepare`, stateless)
 2. the same digest again: done already
 3. the signer is known, not suspended, and kid is its current key
 4. the signature holds under that key
 5. freshness: iat within [t - 1 h, t + 5 min], t = max(last accepted time, the record's LogAppendTime)
 6. the body is there exactly when the statement names one, and hashes to it
 7. idempotency: (subject, iss, cti) unused, or used with the same tag
 8. the subject exists (or is opened by this), its kind knows the type, the payload fits its model
 9. the signer may write it: its role, then its grant or standing choice
10. compartment known   11. reaction not yet done   12. epoch current   13. the rulebook's own transition
A refused record changes nothing, not even time. A relay of partition 0's decision goes by `carenet.rules.relay`.
Care data that has a permit (`carenet.rules.permits`) passed 3 and 8 to 13 before; the others are made as always.

    while missing := needs(records, view, scope):
        loaded |= store.load(missing)
    effects = fold(records, View(loaded), state, scope, next_offset)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from carenet.encoding.cose import compute_thumbprint
from carenet.errors import StatementError
from carenet.ledger.entry import NO_PREV, Entry
from carenet.ledger.hashes import hash_leaf
from carenet.rules.case import Case, Refusal, is_suspended, parse_payload, participants_with_organisations
from carenet.rules.checks import check_body, check_record, check_repeat
from carenet.rules.effects import Accepted, Effects, Rejected
from carenet.rules.prepare import Permit, Prepared, Scope
from carenet.rules.reasons import Reason
from carenet.rules.relay import check_relay
from carenet.rules.roles import AUTHORITY, NODE, may_sign
from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
    EpochsKey,
    GrantsKey,
    IdempotencyRow,
    Key,
    ParticipantKey,
    ParticipantRow,
    PartitionState,
    ReactionKey,
    ReactionRow,
    Row,
    SubjectKey,
    SubjectRow,
)
from carenet.rules.rulebooks import OPENERS, RULEBOOKS, Rulebook
from carenet.rules.view import View
from carenet.statements.payloads import Open
from carenet.statements.statement import Statement


def genesis_rows(scope: Scope) -> dict[Key, Row]:
    """The rows that the genesis seeds in every partition: the network's subject, authorities and nodes."""
    genesis = scope.genesis
    rows: dict[Key, Row] = {SubjectKey(scope.network): SubjectRow(scope.network, "network", 0, NO_PREV)}
    members = [(authority.id, authority.name, AUTHORITY, authority.sign) for authority in genesis.authorities]
    members += [(node.id, node.name, NODE, node.sign) for node in genesis.nodes]
    for participant, name, role, sign in members:
        rows[ParticipantKey(participant)] = ParticipantRow(participant, name, None, (role,), (), sign, None)
    return rows


def needs(records: Sequence[Prepared], view: View, scope: Scope) -> set[Key]:
    """The keys that a batch wants and the view has not loaded; ask again after loading, until it is empty."""
    wanted: set[Key] = set()
    subjects = set()
    for record in records:
        if record.permit is None and not record.is_alike:
            wanted.update(_needs_of(record, view, scope))
        else:
            assert record.id_key is not None
            wanted.add(record.id_key)
            subjects.add(record.id_key.in_subject)
    wanted.update(map(SubjectKey, subjects))
    return view.missing(wanted)


def _needs_of(record: Prepared, view: View, scope: Scope) -> Iterator[Key]:
    statement = record.statement
    if statement is None:
        return
    header = statement.header
    yield ParticipantKey(header.issuer)  # of any record: whether a refusal is told to a proven signer hangs on it
    if record.fault is not None:
        return
    yield SubjectKey(header.subject)
    if record.proof is None:
        assert record.id_key is not None, "every statement has one"
        yield record.id_key
        yield from participants_with_organisations((header.issuer,), view)
    if header.subject != scope.network:
        yield EpochsKey(header.subject)
        yield GrantsKey(header.subject)
        if header.replaces is not None:
            yield AcceptedKey(header.subject, header.replaces)
    for book in _rulebooks_for(statement, view):
        yield from book.needs(statement, view)


def _rulebooks_for(statement: Statement, view: View) -> Iterator[Rulebook]:
    """The subject's rulebook, or all that know the type where the subject may be opened in this very batch."""
    key = SubjectKey(statement.header.subject)
    subject = view.subject(key.subject) if key in view else None
    for book in RULEBOOKS.values():
        if subject.kind == book.kind if subject else book.knows(statement.header.type):
            yield book


def fold(records: Sequence[Prepared], view: View, state: PartitionState, scope: Scope, next_offset: int) -> Effects:
    """Decide a batch of records, in offset order.

    Args:
        records: what `prepare` made of the records from `state.next_offset` on.
        view: holds every key that `needs` asked for; its `written` receives the batch's rows.
        state: the partition before the batch; it is not changed.
        scope: the network's constants and the partition.
        next_offset: one past the last offset that the batch covers.
    """
    batch = _Batch(records, view, state, scope)
    for record in records:
        batch.decide(record)
    return batch.effects(state.next_offset, next_offset)


class _Batch:
    """A batch being decided: the plain loop over records."""

    __slots__ = ("accepted", "chains", "is_urgent", "log_time_ms", "rejected", "replaced", "scope", "tree", "view")

    def __init__(self, records: Sequence[Prepared], view: View, state: PartitionState, scope: Scope) -> None:
        self.view, self.scope = view, scope
        self.tree = state.tree.copy()
        self.chains: dict[bytes, _Chain] = {}  # heads that moved and are not written yet
        self.replaced = {each.statement.header.replaces for each in records if each.statement is not None}
        self.log_time_ms = state.log_time_ms
        self.accepted: list[Accepted] = []
        self.rejected: list[Rejected] = []
        self.is_urgent = False

    def decide(self, record: Prepared) -> None:
        try:
            if record.fault is not None:
                raise Refusal(*record.fault)
            now_ms = max(self.log_time_ms, record.timestamp_ms)
            permit = self.view.permits.find(record, now_ms) if record.is_alike else record.permit
            if permit is not None:
                self._apply_permitted(record, permit, now_ms)
            elif record.proof is not None:
                self._apply_relay(record)
            else:
                self._apply_statement(record, now_ms)
        except Refusal as refusal:
            self.rejected.append(_rejected(record, refusal, self.view))

    def effects(self, before: int, next_offset: int) -> Effects:
        for subject in list(self.chains):
            self._write_head(subject)
        partition = self.scope.partition
        return Effects(
            before=before,
            state=PartitionState(partition, next_offset, self.log_time_ms, self.tree),
            accepted=tuple(self.accepted),
            rejected=tuple(self.rejected),
            writes={key: row for key, row in self.view.written.items() if not isinstance(key, AcceptedKey)},
            tiles=tuple(self.tree.drain_tiles()),
            is_urgent=self.is_urgent,
        )

    def _apply_permitted(self, record: Prepared, permit: Permit, now_ms: int) -> None:
        """Care data that was judged before in all but what hangs on the record itself."""
        statement, id_key = record.statement, record.id_key
        assert statement is not None
        assert id_key is not None
        used = self.view.idempotency(id_key)
        check_repeat(statement, used)
        check_record(record, statement, permit.public, used, now_ms)
        self.log_time_ms = now_ms
        subject = statement.header.subject
        chain = self.chains.get(subject) or self._chain(subject)
        entry = Entry(subject, chain.next_seq, chain.head, statement.digest, now_ms)
        chain.head = self._append(record, statement, entry)
        chain.next_seq += 1

    def _apply_statement(self, record: Prepared, now_ms: int) -> None:
        assert record.statement is not None
        header = record.statement.header
        self._write_head(header.subject)
        case = Case(self.scope, self.view, record, record.statement, now_ms)
        book, reactions = _judge(case)
        subject = case.subject
        seq, prev = (subject.next_seq, subject.head) if subject else (0, NO_PREV)
        self.log_time_ms = now_ms
        self._apply_case(case, book, Entry(header.subject, seq, prev, record.statement.digest, now_ms))
        for reaction in reactions:
            self.view.written[reaction] = ReactionRow(record.statement.digest)
        if case.payload is None:
            assert case.signer is not None
            self.view.permits.note(record, header, Permit(case.signer.sign, book.lasting_until_ms(case)))

    def _apply_relay(self, record: Prepared) -> None:
        assert record.statement is not None
        subject = self.view.subject(self.scope.network)
        assert subject is not None, "the genesis seeds the network's subject"
        entry = check_relay(record, subject, self.scope)
        check_body(record)  # anybody may send a relay, and the body is stored
        case = Case(self.scope, self.view, record, record.statement, entry.log_time_ms, subject=subject)
        case.payload = parse_payload(record.statement)
        self._apply_case(case, RULEBOOKS[subject.kind], entry)

    def _apply_case(self, case: Case, book: Rulebook, entry: Entry) -> None:
        if book.apply(case):
            self.is_urgent = True
        if case.payload is not None:
            self.view.permits.forget(case.statement.header)
        leaf = self._append(case.record, case.statement, entry)
        subject = self.view.subject(entry.subject)
        assert subject is not None, "a rulebook that opens a subject writes its row"
        self.view.written[SubjectKey(entry.subject)] = replace(subject, next_seq=entry.seq + 1, head=leaf)

    def _append(self, record: Prepared, statement: Statement, entry: Entry) -> bytes:
        """Put an entry into the log, and say its leaf hash."""
        encoded = entry.encode()
        leaf = hash_leaf(encoded)
        self.accepted.append(
            Accepted(record.offset, self.tree.size, entry, encoded, statement, record.body, record.timestamp_ms)
        )
        self.tree.append(leaf)
        header = statement.header
        if entry.digest in self.replaced:
            row = AcceptedRow(entry.seq, header.issuer, header.type, header.compartment)
            self.view.written[AcceptedKey(entry.subject, entry.digest)] = row
        if record.proof is None:
            assert record.id_key is not None
            self.view.written[record.id_key] = IdempotencyRow(entry.digest, header.tag)
        return leaf

    def _chain(self, subject: bytes) -> _Chain:
        row = self.view.subject(subject)
        assert row is not None, "a permit is about a subject that exists"
        chain = self.chains[subject] = _Chain(row.next_seq, row.head)
        return chain

    def _write_head(self, subject: bytes) -> None:
        """Write a head that moved, for who reads the subject's row."""
        chain = self.chains.pop(subject, None)
        if chain is not None:
            row = self.view.subject(subject)
            assert row is not None
            self.view.written[SubjectKey(subject)] = replace(row, next_seq=chain.next_seq, head=chain.head)


@dataclass(slots=True)
class _Chain:
    """The end of a subject's chain while a batch grows it: rows are frozen, and one an entry would cost more."""

    next_seq: int
    head: bytes


def _judge(case: Case) -> tuple[Rulebook, tuple[ReactionKey, ...]]:
    """Checks 2 to 13; raises `Refusal` at the first that fails."""
    record = case.record
    assert record.id_key is not None
    used = case.view.idempotency(record.id_key)
    check_repeat(case.statement, used)
    case.signer = _find_signer(case)
    check_record(record, case.statement, case.signer.sign, used, case.now_ms)
    book = _find_rulebook(case)
    allowed = may_sign(case.signer, case.statement.header.type)
    case.require(allowed, Reason.ROLE_FORBIDS, "no role of the signer allows this type")
    book.check_permission(case)
    book.check_compartment(case)
    reactions = book.reactions(case)
    for reaction in reactions:
        done = case.view.reaction(reaction)
        if done is not None:
            raise Refusal(Reason.ALREADY_DONE, "for", done.digest)
    book.check_epoch(case)
    book.check_transition(case)
    return book, reactions


def _find_signer(case: Case) -> ParticipantRow:
    header = case.statement.header
    signer = case.view.participant(header.issuer)
    case.require(signer is not None, Reason.UNKNOWN_SIGNER, "iss is not a participant in this partition")
    assert signer is not None
    case.require(not is_suspended(signer, case.view), Reason.SUSPENDED, "the signer or its organisation is suspended")
    case.require(header.kid not in signer.retired, Reason.STALE_KEY, "kid is a key that the signer rotated away")
    case.require(header.kid == compute_thumbprint(signer.sign), Reason.WRONG_KID, "kid is not the signer's key")
    return signer


def _find_rulebook(case: Case) -> Rulebook:
    header = case.statement.header
    subject = case.view.subject(header.subject)
    opens = header.type in OPENERS
    case.require(subject is not None or opens, Reason.UNKNOWN_SUBJECT, "sub was never opened")
    case.require(subject is None or not opens, Reason.SUBJECT_EXISTS, "sub was opened before")
    case.subject = subject
    if subject is not None:
        case.require(RULEBOOKS[subject.kind].knows(header.type), Reason.UNKNOWN_TYPE, "not a type of this kind")
    try:
        case.payload = parse_payload(case.statement)
    except StatementError as exc:
        raise Refusal(Reason.BAD_PAYLOAD, str(exc)) from exc
    if subject is not None:
        return RULEBOOKS[subject.kind]
    assert isinstance(case.payload, Open), "the model of an opener names the kind"
    return RULEBOOKS[case.payload.kind]


def _rejected(record: Prepared, refusal: Refusal, view: View) -> Rejected:
    statement = record.statement
    issuer = statement.header.issuer if statement else None
    return Rejected(
        offset=record.offset,
        reason=refusal.reason,
        detail=refusal.detail,
        head=record.head,
        issuer=issuer,
        is_proven=statement is not None and _is_proven(record, statement, view),
        digest=statement.digest if statement else None,
        winner=refusal.winner,
    )


def _is_proven(record: Prepared, statement: Statement, view: View) -> bool:
    if record.permit is not None:
        return record.is_signed_by(record.permit.public)
    signer = view.participant(statement.header.issuer)
    return signer is not None and record.is_signed_by(signer.sign)
