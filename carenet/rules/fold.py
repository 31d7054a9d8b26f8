"""The fold: `needs` and `fold` (being written)."""

from __future__ import annotations

from collections.abc import Sequence

from carenet.rules.effects import Effects
from carenet.rules.prepare import Prepared, Scope
from carenet.rules.rows import Key, PartitionState
from carenet.rules.view import View


def needs(records: Sequence[Prepared], view: View, scope: Scope) -> set[Key]:
    """The keys that a batch wants and the view has not loaded; ask again after loading, until it is empty."""
    raise NotImplementedError


def fold(records: Sequence[Prepared], view: View, state: PartitionState, scope: Scope, next_offset: int) -> Effects:
    """Decide a batch."""
    raise NotImplementedError


def genesis_rows(scope: Scope) -> dict[Key, object]:
    """The rows that the genesis seeds in every partition."""
    raise NotImplementedError
