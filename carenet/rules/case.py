"""One statement on its way to a decision: what the checks and the rulebooks look at, and how they say no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from carenet.errors import StatementError
from carenet.rules.prepare import Prepared, Scope
from carenet.rules.reasons import Reason
from carenet.rules.rows import Key, ParticipantKey, ParticipantRow, Row, SubjectRow
from carenet.rules.view import View
from carenet.statements.payloads import PAYLOADS
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement


class Refusal(Exception):  # noqa: N818 - it is a decision, caught by the fold, and never leaves this room
    """The statement is refused.

    Args:
        reason: the code.
        detail: which field or rule, without patient data.
        winner: digest of the statement that holds the place of this one, or that began the current epoch.
    """

    def __init__(self, reason: Reason, detail: str = "", winner: bytes | None = None) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.winner = reason, detail, winner


@dataclass(slots=True)
class Case:
    """What is known when a statement is judged.

    Attributes:
        scope: the network's constants and the partition.
        view: the rows, with what the batch wrote before.
        record: the prepared record.
        statement: its statement.
        now_ms: the record's time t.
        signer: the participant that signed; on a relay a row that no check reads.
        subject: the subject, or None before it is opened.
        payload: a control statement's payload as its model; None for care data.
    """

    scope: Scope
    view: View
    record: Prepared
    statement: Statement
    now_ms: int
    signer: ParticipantRow | None = None
    subject: SubjectRow | None = None
    payload: Shape | None = None

    @property
    def seq(self) -> int:
        """The sequence number that the statement gets if it is accepted."""
        return self.subject.next_seq if self.subject else 0

    def write(self, key: Key, row: Row) -> None:
        """Put a row into the batch's effects."""
        self.view.written[key] = row

    def require(self, holds: bool, reason: Reason, detail: str = "", winner: bytes | None = None) -> None:
        """Refuse unless a rule holds."""
        if not holds:
            raise Refusal(reason, detail, winner)

    def organisation(self) -> bytes | None:
        """The signer's organisation."""
        assert self.signer is not None
        return self.signer.organisation


def parse_payload(statement: Statement) -> Shape | None:
    """A control statement's payload as its model, or None for care data.

    Raises:
        StatementError: the payload breaks its model, or the type wants the other form.
    """
    model = PAYLOADS.get(statement.header.type)
    if (model is None) == statement.is_control:
        raise StatementError(f"{statement.header.type} is {'care data' if model is None else 'a control statement'}")
    return model.parse(statement.control) if model else None


def payload_if_valid(statement: Statement) -> Any:
    """The payload model where it parses, else None: for asking which rows a statement wants before it is judged."""
    try:
        return parse_payload(statement)
    except StatementError:
        return None


def participants_with_organisations(participants: Iterable[bytes], view: View) -> Iterator[Key]:
    """The keys of participants and, once those are loaded, of the organisations that they fall with."""
    for participant in participants:
        key = ParticipantKey(participant)
        yield key
        row = view.participant(participant) if key in view else None
        if row is not None and row.organisation is not None:
            yield ParticipantKey(row.organisation)


def is_suspended(participant: ParticipantRow, view: View) -> bool:
    """Whether a participant, or the organisation that it falls with, is suspended."""
    if participant.suspended:
        return True
    organisation = view.participant(participant.organisation) if participant.organisation else None
    return organisation is not None and organisation.suspended
