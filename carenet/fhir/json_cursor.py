"""Walks JSON text and remembers where each value stands, so that a resource can be cut out as it came.

Python's own scanner (`json.JSONDecoder.raw_decode`) reads the values; only the outline above them is walked here.
Stricter than that scanner: no NaN or Infinity, and no member twice in one object, because two readers of signed bytes
must not see two different things.

    >>> cursor = JsonCursor('{"entry": [{"a": 1.50}]}', "x.json")
    >>> [cursor.text[s:e] for _ in cursor.members() for _ in cursor.items() for _, s, e in [cursor.take_value()]]
    ['{"a": 1.50}']
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from carenet.errors import ResourceError

_SPACE = re.compile(r"[ \t\n\r]*")


class JsonCursor:
    """A position in JSON text that only moves forward.

    Args:
        text: the whole document.
        source: its name in error messages.
        first_line: the line number of the text's first line, when the text is a piece of a file.
    """

    def __init__(self, text: str, source: str, first_line: int = 1) -> None:
        self.text = text
        self.at = 0
        self._source = source
        self._first_line = first_line
        self._decoder = json.JSONDecoder(object_pairs_hook=_refuse_repeats, parse_constant=_refuse_constant)
        self._skip_space()

    def members(self) -> Iterator[str]:
        """The keys of the object at the cursor; the caller takes exactly one value before it asks for the next.

        Raises:
            ResourceError: not an object, not JSON, or a member twice.
        """
        self._expect("{", "an object")
        seen: set[str] = set()
        if self._take("}"):
            return
        while True:
            start = self.at
            key = self.take_value()[0]
            if not isinstance(key, str) or key in seen:
                self.fail("a member's name must be a string and stand only once in its object", start)
            seen.add(key)
            self._expect(":", "a colon")
            yield key
            if self._take("}"):
                return
            self._expect(",", "a comma or the object's end")

    def items(self) -> Iterator[int]:
        """The indexes of the array at the cursor; the caller takes exactly one value before it asks for the next.

        Raises:
            ResourceError: not an array, or not JSON.
        """
        self._expect("[", "an array")
        if self._take("]"):
            return
        index = 0
        while True:
            yield index
            index += 1
            if self._take("]"):
                return
            self._expect(",", "a comma or the array's end")

    def take_value(self) -> tuple[Any, int, int]:
        """The value at the cursor with its start and end in the text; the cursor moves behind it.

        Raises:
            ResourceError: not JSON, nested too deep, or a member twice.
        """
        start = self.at
        try:
            value, end = self._decoder.raw_decode(self.text, start)
        except json.JSONDecodeError as exc:
            self.fail(exc.msg, exc.pos)
        except RecursionError:
            self.fail("nested too deep", start)
        except ValueError as exc:  # our hooks, and integers of more digits than Python reads
            self.fail(str(exc) if isinstance(exc, _RepeatError) else "a number that cannot be read", start)
        self.at = end
        self._skip_space()
        return value, start, end

    def expect_end(self) -> None:
        """Raise ResourceError unless nothing but white space is left."""
        if self.at != len(self.text):
            self.fail("more data after the end (is it NDJSON?)", self.at)

    def fail(self, rule: str, at: int) -> NoReturn:
        """Raise ResourceError for a place in the text, named by line and column."""
        line = self._first_line + self.text.count("\n", 0, at)
        column = at - self.text.rfind("\n", 0, at)
        raise ResourceError(f"{self._source}: not JSON at line {line}, column {column}: {rule}")

    def _skip_space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _take(self, token: str) -> bool:
        found = self.text.startswith(token, self.at)
        if found:
            self.at += 1
            self._skip_space()
        return found

    def _expect(self, token: str, what: str) -> None:
        if not self._take(token):
            self.fail(f"expected {what}", self.at)


class _RepeatError(ValueError):
    """A member that stands twice in one object."""


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatError("a member stands twice in one object")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
