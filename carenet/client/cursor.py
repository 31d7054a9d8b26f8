"""A watcher's place: what was delivered, so that resuming anywhere loses nothing and repeats nothing.

Of a subject in `behind`, everything that the reader may see with seq < behind[subject] was delivered and nothing after;
of every other subject, everything with index < at[partition]. `passes` says of a subject in `behind` what its backlog
may skip; that is the gateway's business, and carried back to it as it came. Pure arithmetic over its messages:

| message | effect |
|---|---|
| subscribed | `at`, `behind` and `passes` are the gateway's |
| live entry | at[partition] = index + 1 |
| backlog entry | behind[subject] = seq + 1 |
| behind | merged, with its passes: a new grant with history, an arrival |
| caught_up, withdrawn | their subjects leave `behind`; their `at` is how far that is |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import orjson

from carenet.client import wire
from carenet.encoding.ids import decode_id, encode_id
from carenet.errors import BadInputError, EncodingError


class Cursor:
    """See the module header. It moves on as updates are handed out; `copy` or `encode` it to keep a place.

    Args:
        at: next index by partition.
        behind: next seq by subject (id as text).
        passes: the gateway's numbers by subject.
    """

    __slots__ = ("at", "behind", "passes")

    def __init__(
        self,
        at: Mapping[int, int] | None = None,
        behind: Mapping[str, int] | None = None,
        passes: Mapping[str, list[int]] | None = None,
    ) -> None:
        self.at = dict(at or {})
        self.behind = dict(behind or {})
        self.passes = dict(passes or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursor) and self.to_message() == other.to_message()

    __hash__ = None  # type: ignore[assignment] # it moves

    def __repr__(self) -> str:
        return f"<Cursor at {sum(self.at.values())} entries of {len(self.at)} logs, {len(self.behind)} subjects behind>"

    def copy(self) -> Cursor:
        """The place as it is now."""
        return Cursor(self.at, self.behind, self.passes)

    def pass_live(self, partition: int, index: int) -> None:
        """A live entry was delivered."""
        self.at[partition] = index + 1

    def pass_backlog(self, subject: str, seq: int) -> None:
        """An entry of a subject's backlog was delivered."""
        self.behind[subject] = seq + 1

    def fall_behind(self, message: wire.Message) -> None:
        """Subjects whose backlog will follow: the `behind` message.

        Raises:
            EncodingError: malformed; likewise below.
        """
        places, passes = _read_places(message, "subjects"), _read_passes(message)
        for subject, seq in places.items():
            self.behind[subject] = seq
            self.passes.pop(subject, None)
        self.passes.update(passes)

    def catch_up(self, message: wire.Message, subjects: Iterable[str]) -> None:
        """Subjects that are level or ended from here on: the `caught_up` and `withdrawn` messages."""
        for subject in subjects:
            self.behind.pop(subject, None)
            self.passes.pop(subject, None)
        for partition, head in _read_heads(message).items():
            self.at[partition] = max(head, self.at.get(partition, 0))

    def to_message(self) -> wire.Message:
        """As `subscribe` carries it."""
        at = {str(partition): index for partition, index in self.at.items()}
        return {"at": at, "behind": dict(self.behind), "passes": dict(self.passes)}

    @classmethod
    def of_message(cls, message: wire.Message) -> Self:
        """As `subscribed` carries it.

        Raises:
            EncodingError: malformed.
        """
        return cls(_read_heads(message), _read_places(message, "behind"), _read_passes(message))

    def encode(self) -> str:
        """A text for command lines and files, which `decode` reads back."""
        return wire.to_text(orjson.dumps(self.to_message(), option=orjson.OPT_SORT_KEYS))

    @classmethod
    def decode(cls, text: str) -> Self:
        """The reverse of `encode`.

        Raises:
            BadInputError: not a cursor.
        """
        try:
            message: Any = orjson.loads(wire.to_bytes(text))
        except (EncodingError, orjson.JSONDecodeError) as exc:
            raise BadInputError("not a cursor") from exc
        if not isinstance(message, dict) or not {"at", "behind"} <= message.keys() <= {"at", "behind", "passes"}:
            raise BadInputError("not a cursor")
        return cls.of_message(message)


def _read_heads(message: wire.Message) -> dict[int, int]:
    heads = wire.read_map(message, "at")
    if not all(partition.isascii() and partition.isdecimal() for partition in heads):
        raise EncodingError("at leads from partition numbers to indexes")
    return {int(partition): wire.read_int(heads, partition) for partition in heads}


def _read_places(message: wire.Message, name: str) -> dict[str, int]:
    places = wire.read_map(message, name)
    return {encode_id(decode_id(subject)): wire.read_int(places, subject) for subject in places}


def _read_passes(message: wire.Message) -> dict[str, list[int]]:
    passes = wire.read_map(message, "passes")
    if not all(isinstance(numbers, list) and all(type(each) is int for each in numbers) for numbers in passes.values()):
        raise EncodingError("passes leads from subjects to numbers")
    return {encode_id(decode_id(subject)): numbers for subject, numbers in passes.items()}
