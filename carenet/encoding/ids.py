"""Ids: 32 bytes, written as 43 characters of canonical base64url in claims, Kafka keys and on screens."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache

from carenet.errors import EncodingError

ID_BYTES = 32
_KEPT = 20_000  # ids that are at hand both ways, about 5 MB: a process meets the same ones again and again
_TEXT = re.compile(r"[A-Za-z0-9_-]{43}\Z")
NAME = re.compile(r"[a-z0-9._-]{1,64}\Z")


@lru_cache(maxsize=_KEPT)
def encode_id(raw: bytes) -> str:
    """Write a 32-byte id as 43 characters of unpadded base64url (RFC 4648 section 5)."""
    if len(raw) != ID_BYTES:
        raise ValueError(f"an id has 32 bytes, not {len(raw)}")
    return base64.urlsafe_b64encode(raw)[:-1].decode()


@lru_cache(maxsize=_KEPT)
def decode_id(text: str) -> bytes:
    """Read a 43-character id.

    Raises:
        EncodingError: other characters, another length, or bits in the last character that no id sets
            (two texts must never name one id).
    """
    if not _TEXT.match(text):
        raise EncodingError("an id is 43 characters of base64url")
    raw = base64.urlsafe_b64decode(text + "=")
    if encode_id(raw) != text:
        raise EncodingError("an id is canonical base64url: its last two bits are zero")
    return raw


def is_name(text: object) -> bool:
    """Whether a value is a name as headers and payloads use them: [a-z0-9._-]{1,64}."""
    return isinstance(text, str) and NAME.match(text) is not None


def show_label(label: int | str) -> str:
    """How a message quotes a map key of a stranger's: messages are kept, logged and shown on terminals.

    A key that is no name may hold anything, a patient's data or what a terminal obeys, and is not quoted.
    """
    return str(label) if isinstance(label, int) or is_name(label) else "that is no name"


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()
