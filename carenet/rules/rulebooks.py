"""What a rulebook is, and which there are: a new kind of subject is a file under `kinds/` and its line here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from carenet.rules.case import Case
from carenet.rules.kinds.network import NetworkRulebook
from carenet.rules.kinds.patient import PatientRulebook
from carenet.rules.rows import Key, ReactionKey
from carenet.rules.view import View
from carenet.statements.statement import Statement


class Rulebook(Protocol):
    """The transitions of one kind of subject. Methods refuse by raising `Refusal`."""

    kind: str

    def knows(self, event_type: str) -> bool:
        """Whether subjects of this kind take statements of a type."""
        ...

    def needs(self, statement: Statement, view: View) -> Iterable[Key]:
        """Rows that judging a statement reads, beyond those that every statement does."""
        ...

    def check_permission(self, case: Case) -> None:
        """Whether this signer may say it about this subject."""
        ...

    def check_compartment(self, case: Case) -> None:
        """Whether the header's compartment is one that this type and subject have."""
        ...

    def reactions(self, case: Case) -> tuple[ReactionKey, ...]:
        """The reactions that the statement does, each allowed once."""
        ...

    def check_epoch(self, case: Case) -> None:
        """Whether what is sealed or wrapped goes with the current epochs."""
        ...

    def check_transition(self, case: Case) -> None:
        """The type's own rules."""
        ...

    def lasting_until_ms(self, case: Case) -> int | None:
        """Log time until which care data that was just accepted would be allowed again, nothing else changed."""
        ...

    def apply(self, case: Case) -> bool:
        """Write the statement's rows, apart from the subject's head; whether a checkpoint is due at once."""
        ...


RULEBOOKS: dict[str, Rulebook] = {book.kind: book for book in (NetworkRulebook(), PatientRulebook())}

OPENERS = {"subject.open"}
"""Types that begin a subject; their payload names its kind."""
