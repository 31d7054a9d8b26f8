"""The text of a checkpoint: which log, how large, which root. A signed note around it makes it worth something.

    <network id>/<partition>
    1234
    <root in base64>

Three lines and no more: the specification allows extension lines and recommends none. Nobody audits them, and nodes
that are to sign one text must find one text, so a checkpoint that has any is refused.

Source: C2SP tlog-checkpoint, "Note text". Signing and opening: `carenet.ledger.notes`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import encode_id
from carenet.errors import NoteError
from carenet.ledger.hashes import EMPTY_ROOT, HASH_BYTES

MAX_ORIGIN_BYTES = 255  # an ML-DSA cosignature names the origin after one byte of length

_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,15})\Z")
_LINES = 3
_FIRST_PRINTABLE = " "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's root at a size.

    Attributes:
        origin: which log, one line of at most 255 bytes.
        size: leaves, 0..2**53 - 1.
        root: 32 bytes; the empty tree's at size 0.

    Raises:
        ValueError: a field outside its range.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or any(letter < _FIRST_PRINTABLE for letter in self.origin):
            raise ValueError("a checkpoint's origin is not empty and has no control characters")
        if len(self.origin.encode()) > MAX_ORIGIN_BYTES:
            raise ValueError(f"a checkpoint's origin has at most {MAX_ORIGIN_BYTES} bytes")
        if not 0 <= self.size <= MAX_INT:
            raise ValueError("a checkpoint's size lies within 0..2**53 - 1")
        if len(self.root) != HASH_BYTES or (self.size == 0 and self.root != EMPTY_ROOT):
            raise ValueError("a checkpoint's root has 32 bytes, and is the empty tree's at size 0")

    def text(self) -> str:
        """The note's text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a note's text, which must be exactly what `Checkpoint.text` writes.

    Raises:
        NoteError: anything else; the message names the line.
    """
    lines = text.split("\n")
    if len(lines) != _LINES + 1 or lines[-1]:
        raise NoteError("a checkpoint is three lines, each ended by a newline")
    origin, size, root = lines[:_LINES]
    if not _SIZE.match(size):
        raise NoteError("a checkpoint's size is decimal without leading zeroes")
    try:
        checkpoint = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (binascii.Error, ValueError) as exc:  # UnicodeError, for a lone surrogate, is a ValueError
        raise NoteError(f"not a checkpoint: {exc}") from exc
    if checkpoint.text() != text:
        raise NoteError("a checkpoint's root is canonical base64")
    return checkpoint


def origin_of(network_id: bytes, partition: int) -> str:
    """The origin of a partition's log: `<network id in base64url>/<partition>`.

    Args:
        network_id: 32 bytes.
        partition: from 0.

    Raises:
        ValueError: another length, or a negative partition.
    """
    if partition < 0:
        raise ValueError("a partition is not negative")
    return f"{encode_id(network_id)}/{partition}"
