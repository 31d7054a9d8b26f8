"""A view of the rows that the fold may read, with the writes of the batch laid over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from carenet.rules.permits import Permits
from carenet.rules.rows import (
    AcceptedKey,
    AcceptedRow,
    EpochsKey,
    EpochsRow,
    GrantsKey,
    GrantsRow,
    IdempotencyKey,
    IdempotencyRow,
    Key,
    ParticipantKey,
    ParticipantRow,
    ReactionKey,
    ReactionRow,
    Row,
    SubjectKey,
    SubjectRow,
)


@dataclass(slots=True)
class View:
    """Rows by key. A key that was loaded and has no row leads to None; one that was not loaded is a programmer's error.

    Attributes:
        loaded: what the store read for this batch (or what a simulator holds).
        written: what the batch has written so far; it hides what was loaded.
        permits: earlier judgements, which the batch adds to and takes from.
    """

    loaded: Mapping[Key, Row | None]
    written: dict[Key, Row] = field(default_factory=dict)
    permits: Permits = field(default_factory=Permits)

    def __contains__(self, key: object) -> bool:
        return key in self.written or key in self.loaded

    def missing(self, keys: set[Key]) -> set[Key]:
        """Those of the keys that were not loaded."""
        return keys.difference(self.loaded, self.written)

    def _get(self, key: Key) -> Row | None:
        row = self.written.get(key)
        return self.loaded[key] if row is None else row

    def participant(self, participant: bytes) -> ParticipantRow | None:
        """A participant by id."""
        row = self._get(ParticipantKey(participant))
        assert row is None or isinstance(row, ParticipantRow)
        return row

    def subject(self, subject: bytes) -> SubjectRow | None:
        """A subject by id."""
        row = self._get(SubjectKey(subject))
        assert row is None or isinstance(row, SubjectRow)
        return row

    def epochs(self, subject: bytes) -> EpochsRow:
        """All epochs of a subject; none where it has none."""
        row = self._get(EpochsKey(subject))
        assert row is None or isinstance(row, EpochsRow)
        return row or EpochsRow(())

    def grants(self, subject: bytes) -> GrantsRow:
        """All active grants of a subject, and those that this batch ended."""
        row = self._get(GrantsKey(subject))
        assert row is None or isinstance(row, GrantsRow)
        return row or GrantsRow(())

    def idempotency(self, key: IdempotencyKey) -> IdempotencyRow | None:
        """The statement that used an id."""
        row = self._get(key)
        assert row is None or isinstance(row, IdempotencyRow)
        return row

    def accepted(self, subject: bytes, digest: bytes) -> AcceptedRow | None:
        """An accepted statement of a subject."""
        row = self._get(AcceptedKey(subject, digest))
        assert row is None or isinstance(row, AcceptedRow)
        return row

    def reaction(self, key: ReactionKey) -> ReactionRow | None:
        """The statement that already did a reaction."""
        row = self._get(key)
        assert row is None or isinstance(row, ReactionRow)
        return row
