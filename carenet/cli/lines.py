"""One line for people about any entry: what a care event says once opened, what a control statement changes.

Names are looked up by the caller's `NameBook`; whatever has none is shown as the start of its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carenet.cli.names import Named
from carenet.errors import StatementError
from carenet.rules.case import parse_payload
from carenet.statements.payloads import Admit, EpochBegin, Give, KeyShare, Open, Retract, Rotate, Suspend, Withdraw
from carenet.statements.statement import Statement

_NARROWEST, _WIDEST = 10, 20  # columns of a name


@dataclass(slots=True)
class NameBook:
    """Names by id, of participants and patients."""

    names: dict[bytes, str] = field(default_factory=dict)

    def learn(self, found: Iterable[Named]) -> None:
        """Take in names; the first one for an id stays."""
        for each in found:
            if each.name:
                self.names.setdefault(each.id, each.name)

    @property
    def width(self) -> int:
        """Columns that hold its names, so that what stands behind them is aligned; a rare longer one juts out."""
        return min(max((_NARROWEST, *map(len, self.names.values()))), _WIDEST)

    def label(self, identity: bytes) -> str:
        """What people are shown for an id."""
        return Named(self.names.get(identity, ""), identity).label


def describe_statement(
    statement: Statement, resource: Mapping[str, Any] | None, fault: str | None, book: NameBook
) -> str:
    """A statement in one line.

    Args:
        statement: accepted.
        resource: the opened FHIR resource of a care event, or None.
        fault: why it could not be opened, if so.
        book: names to show.
    """
    if statement.is_control:
        try:
            payload = parse_payload(statement)
        except StatementError:
            payload = None
        describe = _BY_MODEL.get(type(payload))
        return describe(payload, book) if describe is not None else statement.header.type
    if resource is not None:
        from carenet.fhir.summary import headline

        return headline(resource)
    return f"{statement.header.type} ({fault or 'not a FHIR resource'})"


def _admit(payload: Admit, book: NameBook) -> str:
    within = f" of {book.label(payload.organisation)}" if payload.organisation else ""
    return f"admitted: {payload.name}{within}, {', '.join(payload.roles)}"


def _rotate(payload: Rotate, book: NameBook) -> str:
    return f"new keys: {book.label(payload.participant)}"


def _suspend(payload: Suspend, book: NameBook) -> str:
    return f"suspended: {book.label(payload.participant)}"


def _open(payload: Open, book: NameBook) -> str:
    kept = ", ".join(map(book.label, payload.custodians))
    unasked = f"; may write unasked: {', '.join(payload.write)}" if payload.write else ""
    return f"timeline opened, kept by {kept}{unasked}"


def _give(payload: Give, book: NameBook) -> str:
    since = "with history" if payload.history else "from now on"
    return f"{book.label(payload.grantee)} may {'/'.join(payload.actions)} {', '.join(payload.compartments)} {since}"


def _withdraw(payload: Withdraw, book: NameBook) -> str:
    return f"access of {book.label(payload.grantee)} ended"


def _begin(payload: EpochBegin, _: NameBook) -> str:
    return f"new keys for {', '.join(payload.epochs)}"


def _share(payload: KeyShare, book: NameBook) -> str:
    return f"keys for {', '.join(map(book.label, payload.to))}"


def _retract(payload: Retract, _: NameBook) -> str:
    return f"retraction: {payload.reason}"


_BY_MODEL: dict[type[Any], Callable[[Any, NameBook], str]] = {
    Admit: _admit,
    Rotate: _rotate,
    Suspend: _suspend,
    Open: _open,
    Give: _give,
    Withdraw: _withdraw,
    EpochBegin: _begin,
    KeyShare: _share,
    Retract: _retract,
}
