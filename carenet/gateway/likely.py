"""A guess, for PostgreSQL, which entries somebody here will be sent: their bodies then come with the first question.

One bit for each two bytes that a subject's id can begin with, set when an entry was wanted and cleared when one was
not. A wrong guess costs a second question, or a body that is read in vain; nothing is decided by it.
"""

from __future__ import annotations

_BYTES = 2**16 // 8


class Likely:
    """See the module header."""

    def __init__(self) -> None:
        self._bits = bytearray(_BYTES)

    def __repr__(self) -> str:
        return f"<Likely: {int.from_bytes(self._bits).bit_count()} bits>"

    def learn(self, subject: bytes) -> None:
        """An entry of a subject was wanted."""
        byte, mask = _place(subject)
        self._bits[byte] |= mask

    def forget(self, subject: bytes) -> None:
        """An entry of a subject was wanted by nobody."""
        byte, mask = _place(subject)
        self._bits[byte] &= ~mask

    def bits(self) -> bytes:
        """As `Queries.read_fed` takes them."""
        return bytes(self._bits)


def _place(subject: bytes) -> tuple[int, int]:
    bit = int.from_bytes(subject[:2])
    return bit // 8, 1 << bit % 8
