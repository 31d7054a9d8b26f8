"""The gateway protocol's two codecs, and fields read with their types.

Messages are dictionaries whose binary values are `bytes`. In `carenet.v1.cbor`, which the SDK prefers, they travel as
byte strings; in `carenet.v1.json` as unpadded base64url, and come back as that text: `read_bytes` takes both.
What comes from a gateway is untrusted: reading raises `EncodingError` and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from carenet.encoding import cbor
from carenet.encoding.ids import ID_BYTES, decode_id, encode_id
from carenet.errors import BadInputError, EncodingError

_MAX_ITEMS = 1 << 20  # of one message; an answer may list 10,000 subjects or participants

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """One subprotocol.

    Attributes:
        subprotocol: its name in the WebSocket handshake.
        is_text: whether its frames are text.
        pack: a frame's bytes.
        unpack: a frame's message; raises EncodingError for anything but one map with a text "type".
    """

    subprotocol: str
    is_text: bool
    pack: Callable[[Message], bytes]
    unpack: Callable[[str | bytes], Message]


def to_text(data: bytes) -> str:
    """Bytes as unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def to_bytes(text: str) -> bytes:
    """The reverse of `to_text`.

    Raises:
        EncodingError: other characters, padding, or bits that no bytes set.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise EncodingError("not unpadded base64url") from None
    if to_text(data) != text:
        raise EncodingError("not canonical base64url")
    return data


def _pack_json(message: Message) -> bytes:
    return orjson.dumps(message, default=_bytes_as_text)


def _bytes_as_text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} has no place in a message")
    return to_text(value)


def _unpack_json(frame: str | bytes) -> Message:
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise EncodingError("a frame is not JSON") from None
    return _check(message)


def _pack_cbor(message: Message) -> bytes:
    return cbor.encode(message, _MAX_ITEMS)


def _unpack_cbor(frame: str | bytes) -> Message:
    if isinstance(frame, str):
        raise EncodingError("a frame is not binary")
    return _check(cbor.decode(frame, _MAX_ITEMS))


def _check(message: Any) -> Message:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise EncodingError('a frame is an object with a "type"')
    return message


CBOR = Codec("carenet.v1.cbor", is_text=False, pack=_pack_cbor, unpack=_unpack_cbor)
JSON = Codec("carenet.v1.json", is_text=True, pack=_pack_json, unpack=_unpack_json)
CODECS = {each.subprotocol: each for each in (CBOR, JSON)}  # by preference


def read_text(message: Message, name: str) -> str:
    """A text field.

    Raises:
        EncodingError: missing or of another type; likewise below.
    """
    value = message.get(name)
    if not isinstance(value, str):
        raise EncodingError(f"{name} is text")
    return value


def read_int(message: Message, name: str) -> int:
    """An integer field that is not negative."""
    value = message.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EncodingError(f"{name} is an integer that is not negative")
    return value


def read_bytes(message: Message, name: str) -> bytes:
    """A field of bytes."""
    value = message.get(name)
    return value if isinstance(value, bytes) else to_bytes(read_text(message, name))


def read_bytes_or_none(message: Message, name: str) -> bytes | None:
    """A field of bytes that may be null or absent."""
    return None if message.get(name) is None else read_bytes(message, name)


def read_id(message: Message, name: str) -> bytes:
    """An id, as its 32 bytes."""
    return decode_id(read_text(message, name))


def read_map(message: Message, name: str) -> Message:
    """A field that is an object; empty where it is absent."""
    value = message.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise EncodingError(f"{name} is an object with text keys")
    return value


def read_list(message: Message, name: str) -> list[Any]:
    """A field that is an array; empty where it is absent."""
    value = message.get(name, [])
    if not isinstance(value, list):
        raise EncodingError(f"{name} is an array")
    return value


def read_maps(message: Message, name: str) -> list[Message]:
    """A field that is an array of objects."""
    items = read_list(message, name)
    if not all(isinstance(item, dict) for item in items):
        raise EncodingError(f"{name} is an array of objects")
    return items


def read_texts(message: Message, name: str) -> tuple[str, ...]:
    """A field that is an array of texts."""
    items = read_list(message, name)
    if not all(isinstance(item, str) for item in items):
        raise EncodingError(f"{name} is an array of texts")
    return tuple(items)


def id_of(value: str | bytes) -> bytes:
    """An id that a caller wrote either way, as its 32 bytes.

    Raises:
        BadInputError: neither 43 characters of base64url nor 32 bytes.
    """
    if isinstance(value, str):
        return decode_id(value)
    if len(value) != ID_BYTES:
        raise BadInputError(f"an id has {ID_BYTES} bytes")
    return value


def id_text(value: str | bytes) -> str:
    """An id that a caller wrote either way, as text."""
    return encode_id(id_of(value))
