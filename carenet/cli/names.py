"""From what a person types to an id: a name, a whole id, or the start of either if it starts nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from carenet.encoding.ids import decode_id, encode_id
from carenet.errors import EncodingError, NotFoundError

_SHOWN_CANDIDATES = 12


@dataclass(frozen=True, slots=True)
class Named:
    """Something with an id, and the name that it goes by here.

    Attributes:
        name: a participant's, a key file's or a patient's nickname; empty where it has none.
        id: 32 bytes.
    """

    name: str
    id: bytes

    @property
    def text(self) -> str:
        """The id as 43 characters."""
        return encode_id(self.id)

    @property
    def label(self) -> str:
        """What people are shown: the name, else the start of the id."""
        return self.name or f"{self.text[:8]}…"


def resolve(typed: str, candidates: Iterable[Named], kind: str) -> Named:
    """The one thing that is meant.

    A whole name comes before the start of one; a whole id serves whether it is a candidate or not.

    Args:
        typed: what was typed.
        candidates: what may be meant; several names may lead to one id.
        kind: what is looked for, for the message: "patient".

    Raises:
        NotFoundError: nothing is meant, or more than one thing; the message names what might be.
    """
    known = list(candidates)
    whole = _unique(each for each in known if typed in {each.name, each.text})
    started = _unique(each for each in known if typed and (each.name.startswith(typed) or each.text.startswith(typed)))
    for meant in (whole, started):
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise NotFoundError(f"{typed!r} may mean more than one {kind}: {_list(meant)}; type more of one")
    try:
        return Named("", decode_id(typed))
    except EncodingError:
        pass
    there = f"; there are: {_list(_unique(known))}" if known else "; none is known here"
    raise NotFoundError(f"no {kind} is called {typed!r}{there}")


def _unique(found: Iterable[Named]) -> list[Named]:
    """One for each id, the first that has a name."""
    by_id: dict[bytes, Named] = {}
    for each in found:
        if each.id not in by_id or not by_id[each.id].name:
            by_id[each.id] = each
    return list(by_id.values())


def _list(found: list[Named]) -> str:
    repeated = {each.name for each in found if sum(each.name == other.name for other in found) > 1}
    texts = [f"{each.label} ({each.text[:8]}…)" if each.name in repeated else each.label for each in found]
    shown = sorted(texts)[:_SHOWN_CANDIDATES]
    more = len(texts) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
