"""How gateway messages become frames and back: the one place that knows the subprotocols.

There is one schema (docs/formats.md, section 11) and two codecs: `carenet.v1.cbor`, binary frames of deterministic
CBOR with bytes as byte strings, and `carenet.v1.json`, text frames with bytes as unpadded base64url. The other modules
speak in dictionaries whose binary values are `bytes`, whichever it is, and ask for fields by kind. What an ill-formed
message earns: `GarbageError` (not a message at all) closes the connection, `BadRequestError` is answered.

CBOR goes through our own strict codec: what clients send must be refused unless it is deterministic, which no library
does, and what is sent is encoded once for all its receivers (a push of 2.4 KB in 7 µs; cbor2 takes 5, orjson 4).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from websockets.frames import Frame, Opcode

from carenet.encoding import cbor
from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import decode_id, encode_id, is_name
from carenet.errors import BadInputError, EncodingError

MAX_LISTED = 10_000  # subjects that one subscription or cursor may name

_MAX_TAKEN = 1 << 17  # items of a client's CBOR message: a cursor with 10,000 passes has 80,000
_MAX_SENT = 1 << 24  # of ours; so many are never reached
# The fields of requests that hold bytes: text in JSON, and only these become bytes again.
_BYTES = ("kid", "nonce", "signature", "statement", "body", "digest")

Message = dict[str, Any]


class GarbageError(BadInputError):
    """A frame that is no message: the connection is closed with 4002."""


class BadRequestError(BadInputError):
    """A request with a field that is missing or ill-formed: answered as `bad_request`."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One subprotocol.

    Attributes:
        subprotocol: its name in the WebSocket handshake.
        is_text: whether its frames are text.
        encode: the payload of a message; `bytes` values are allowed.
        decode: the message of a payload, as the WebSocket gave it (`str` for a text frame, `bytes` for a binary one).
            Raises `GarbageError` for anything but one map with a text `type`.
    """

    subprotocol: str
    is_text: bool
    encode: Callable[[Message], bytes]
    decode: Callable[[bytes | str], Message]

    def frame(self, message: Message) -> bytes:
        """A message as it goes to the socket: a whole, unmasked, uncompressed WebSocket frame."""
        opcode = Opcode.TEXT if self.is_text else Opcode.BINARY
        return Frame(opcode, self.encode(message)).serialize(mask=False)


class Shared:
    """A message for several sessions, encoded and framed once for each subprotocol, when the first one wants it.

    Args:
        message: what it says.
    """

    __slots__ = ("_frames", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self._frames: dict[str, bytes] = {}

    def frame(self, codec: Codec) -> bytes:
        """The WebSocket frame for sessions of this subprotocol."""
        frame = self._frames.get(codec.subprotocol)
        if frame is None:
            frame = self._frames[codec.subprotocol] = codec.frame(self.message)
        return frame


def encode_bytes(raw: Any) -> str:
    """Unpadded base64url; for orjson, which asks about what it does not know.

    Raises:
        TypeError: not bytes.
    """
    if not isinstance(raw, bytes):
        raise TypeError(f"{type(raw).__name__} has no place in a message")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_bytes(text: str) -> bytes | None:
    """The reverse of `encode_bytes`; None for what is not canonical base64url without padding."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if encode_bytes(raw) == text else None


def _encode_json(message: Message) -> bytes:
    return orjson.dumps(message, default=encode_bytes)


def _decode_json(payload: bytes | str) -> Message:
    if not isinstance(payload, str):
        raise GarbageError("carenet.v1.json has text frames only")
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise GarbageError("not JSON") from None
    message = _check(message)
    for field in _BYTES:
        value = message.get(field)
        raw = decode_bytes(value) if isinstance(value, str) else None
        if raw is not None:  # else it stays what it is, and `get_bytes` refuses it
            message[field] = raw
    return message


def _encode_cbor(message: Message) -> bytes:
    return cbor.encode(message, _MAX_SENT)


def _decode_cbor(payload: bytes | str) -> Message:
    if isinstance(payload, str):
        raise GarbageError("carenet.v1.cbor has binary frames only")
    try:
        return _check(cbor.decode(payload, _MAX_TAKEN))
    except EncodingError as exc:
        raise GarbageError(f"not deterministic CBOR: {exc}") from None


def _check(message: Any) -> Message:
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise GarbageError("a message is an object with a type")
    return message


CBOR = Codec("carenet.v1.cbor", is_text=False, encode=_encode_cbor, decode=_decode_cbor)
JSON = Codec("carenet.v1.json", is_text=True, encode=_encode_json, decode=_decode_json)
CODECS = {each.subprotocol: each for each in (CBOR, JSON)}  # by preference


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
        BadRequestError: missing, no bytes (in JSON: no canonical base64url), or another length.
    """
    value = message.get(field)
    if not isinstance(value, bytes) or (length is not None and len(value) != length):
        wanted = "bytes" if length is None else f"{length} bytes"
        raise BadRequestError(f"{field} is {wanted} (in JSON, as base64url text without padding)")
    return value


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
        BadRequestError: not an object with text keys, or one with too many members.
    """
    value = message.get(field, {})
    if not isinstance(value, dict) or len(value) > MAX_LISTED * 10 or not all(isinstance(key, str) for key in value):
        raise BadRequestError(f"{field} is an object with text keys")
    return value


def by_id(values: dict[bytes, Any]) -> dict[str, Any]:
    """A map with ids as their texts, as JSON's keys must be."""
    return {encode_id(key): value for key, value in values.items()}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT
