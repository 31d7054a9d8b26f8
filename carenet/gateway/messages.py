"""How gateway messages become frames and back: the one place that knows the subprotocol `carenet.v1.json`.

The other modules speak in dictionaries whose binary values are `bytes`, and ask for fields by kind. What an ill-formed
message earns: `GarbageError` (not a message at all) closes the connection, `BadRequestError` is answered.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import decode_id, encode_id, is_name
from carenet.errors import BadInputError, EncodingError

SUBPROTOCOL = "carenet.v1.json"
MAX_LISTED = 10_000  # subjects that one subscription or cursor may name

Message = dict[str, Any]


class GarbageError(BadInputError):
    """A frame that is no message: the connection is closed with 4002."""


class BadRequestError(BadInputError):
    """A request with a field that is missing or ill-formed: answered as `bad_request`."""


def encode(message: Message) -> bytes:
    """The frame of a message; `bytes` values become base64url text."""
    return orjson.dumps(message, default=encode_bytes)


def encode_bytes(raw: Any) -> str:
    """Unpadded base64url; for orjson, which asks about what it does not know.

    Raises:
        TypeError: not bytes.
    """
    if not isinstance(raw, bytes):
        raise TypeError(f"{type(raw).__name__} has no place in a message")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(frame: bytes | str) -> Message:
    """The message of a frame.

    Raises:
        GarbageError: not a text frame of one JSON object with a text `type`.
    """
    if not isinstance(frame, str):
        raise GarbageError("carenet.v1.json has text frames only")
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise GarbageError("not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise GarbageError("a message is an object with a type")
    return message


def request_id(message: Message) -> int:
    """The number that a request's answers repeat.

    Raises:
        GarbageError: without one, no answer could be told from another's.
    """
    value: Any = message.get("id")
    if not _is_count(value):
        raise GarbageError("a request has an id, an integer from 0")
    return int(value)


def get_bytes(message: Message, field: str, length: int | None = None) -> bytes:
    """A field's bytes, of this length if one is named.

    Raises:
        BadRequestError: missing, not base64url, or another length.
    """
    value = message.get(field)
    if not isinstance(value, str) or (length is not None and len(value) != (length * 4 + 2) // 3):
        raise BadRequestError(f"{field} is {'' if length is None else f'{length} '}bytes as base64url text")
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError(f"{field} is base64url text") from None
    if encode_bytes(raw) != value:
        raise BadRequestError(f"{field} is canonical base64url without padding")
    return raw


def get_id(message: Message, field: str) -> bytes:
    """A field's 32-byte id.

    Raises:
        BadRequestError: missing or no id.
    """
    return read_id(message.get(field), field)


def read_id(value: Any, field: str) -> bytes:
    """An id from its text.

    Raises:
        BadRequestError: not an id's text.
    """
    try:
        return decode_id(value if isinstance(value, str) else "")
    except EncodingError as exc:
        raise BadRequestError(f"{field}: {exc}") from None


def get_count(message: Message, field: str) -> int:
    """A field's integer from 0.

    Raises:
        BadRequestError: missing, negative, too large or no integer.
    """
    return read_count(message.get(field), field)


def read_count(value: Any, field: str) -> int:
    """An integer from 0.

    Raises:
        BadRequestError: anything else.
    """
    if not _is_count(value):
        raise BadRequestError(f"{field} is an integer from 0")
    return int(value)


def get_names(message: Message, field: str, suffix: str = "") -> frozenset[str] | None:
    """A field's list of names, or None where it is absent.

    Args:
        message: the request.
        field: which.
        suffix: what may follow a name, such as `.*`.

    Raises:
        BadRequestError: not a list of names.
    """
    value = message.get(field)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_LISTED:
        raise BadRequestError(f"{field} is a list")
    if not all(isinstance(each, str) and is_name(each.removesuffix(suffix)) for each in value):
        raise BadRequestError(f"{field} is a list of names")
    return frozenset(value)


def get_map(message: Message, field: str) -> dict[str, Any]:
    """A field's object; an empty one where it is absent.

    Raises:
        BadRequestError: not an object, or one with too many members.
    """
    value = message.get(field, {})
    if not isinstance(value, dict) or len(value) > MAX_LISTED * 10:
        raise BadRequestError(f"{field} is an object")
    return value


def by_id(values: dict[bytes, Any]) -> dict[str, Any]:
    """A map with ids as their texts, as JSON's keys must be."""
    return {encode_id(key): value for key, value in values.items()}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT
