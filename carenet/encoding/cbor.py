"""The strict deterministic CBOR of carenet (RFC 8949 section 4.2.1), both ways.

Allowed are integers within ±(2**53 - 1), byte strings, text strings without NUL, arrays, maps with integer or text
keys, booleans and null, nested at most 16 deep and at most 1,024 of them (the outermost item is 1 of both; keys count;
the content of a byte string starts anew).
No floats, no tags, no indefinite lengths, no other simple values. `decode` accepts exactly what `encode` emits:
shortest integers and lengths, map keys in bytewise order of their encodings without repeats, no trailing bytes.
The tag 18 of a COSE_Sign1 message is framing, not data: `carenet.encoding.cose` handles it.

    >>> decode(encode({"net": b"x", 1: -8})) == {1: -8, "net": b"x"}
    True
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Any

from carenet.errors import EncodingError

MAX_INT = 2**53 - 1  # what JSON and JavaScript clients can hold exactly
MAX_DEPTH = 16
MAX_ITEMS = 1024  # a record of 900 KiB would else cost 100 times its size in memory; the largest payload has 670

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL = 0xF4, 0xF5, 0xF6
_SHORT = 24  # arguments below this sit in the initial byte
_BYTES_OF_ONE_BYTE = 0x58  # the initial byte of a byte string whose length stands in the next byte
_KEPT_KEYS = 512
_WIDTH = {24: 1, 25: 2, 26: 4, 27: 8}

# One group of a pattern (with DOTALL): an integer of 0..2**32 - 1 in its shortest form, for `read_uint32`.
UINT32 = rb"([\x00-\x17]|\x18[\x18-\xff]|\x19[\x01-\xff].|\x1a(?!\x00\x00).{4})"


def encode(value: Any, max_items: int = MAX_ITEMS) -> bytes:
    """Encode a value deterministically.

    Args:
        value: None, bool, int, bytes, str, list or tuple, dict with int or str keys, at most `max_items` in all.
        max_items: more than 1,024 only for what is never part of a statement or a record, such as gateway messages.

    Raises:
        EncodingError: a type or value outside the allowed set.

    Source: RFC 8949 section 4.2.1.
    """
    out = bytearray()
    _encode(value, out, 1, [max_items - 1, max_items])
    return bytes(out)


def decode(data: bytes, max_items: int = MAX_ITEMS) -> Any:
    """Decode one item that must be the whole of `data` and exactly what `encode` would emit.

    Args:
        data: the bytes.
        max_items: as in `encode`.

    Raises:
        EncodingError: anything else; the message names the rule and the byte position.
    """
    try:
        value, end = _decode(data, 0, 1, [max_items - 1, max_items])
    except IndexError:
        raise EncodingError("CBOR ends in the middle of an item") from None
    if end != len(data):
        raise EncodingError(f"{len(data) - end} trailing bytes after the CBOR item")
    return value


def encode_head(major: int, argument: int) -> bytes:
    """The initial byte and the shortest argument of an item."""
    if argument < _SHORT:
        return bytes((major << 5 | argument,))
    info = 24 if argument < 1 << 8 else 25 if argument < 1 << 16 else 26 if argument < 1 << 32 else 27
    if argument >> 64:
        raise EncodingError("a CBOR argument has at most 64 bits")
    return (major << 5 | info).to_bytes(1, "big") + argument.to_bytes(_WIDTH[info], "big")


def read_uint32(encoded: bytes) -> int:
    """The integer that `UINT32` has matched."""
    return int.from_bytes(encoded[1:] or encoded, "big")


def _spend(left: list[int], items: int) -> None:
    """Take items from what is left, the first of two numbers in a list all levels share; the second is the bound."""
    left[0] -= items
    if left[0] < 0:
        raise EncodingError(f"more than {left[1]} items")


def _encode(value: Any, out: bytearray, depth: int, left: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise EncodingError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, bytes):
        out += encode_head(_BYTES, len(value))
        out += value
    elif isinstance(value, str):
        out += _encode_text(value)
    elif value is None or isinstance(value, bool):
        out.append(_NULL if value is None else _TRUE if value else _FALSE)
    elif isinstance(value, int):
        out += _encode_int(value)
    elif isinstance(value, list | tuple):
        _spend(left, len(value))
        out += encode_head(_ARRAY, len(value))
        for item in value:
            _encode(item, out, depth + 1, left)
    elif isinstance(value, dict):
        _spend(left, 2 * len(value))
        _encode_map(value, out, depth, left)
    else:
        raise EncodingError(f"{type(value).__name__} has no place in carenet's CBOR")


def _encode_int(value: int) -> bytes:
    if not -MAX_INT <= value <= MAX_INT:
        raise EncodingError("an integer lies within ±(2**53 - 1)")
    return encode_head(_UNSIGNED, value) if value >= 0 else encode_head(_NEGATIVE, -1 - value)


def _encode_text(value: str) -> bytes:
    if "\0" in value:
        raise EncodingError("text has no NUL")
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise EncodingError("text is valid Unicode, without lone surrogates") from None
    return encode_head(_TEXT, len(raw)) + raw


def _encode_key(key: Any) -> bytes:
    if isinstance(key, str):
        return _encode_text(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return _encode_int(key)
    raise EncodingError("a map key is an integer or text")


def _encode_map(value: dict[Any, Any], out: bytearray, depth: int, left: list[int]) -> None:
    out += encode_head(_MAP, len(value))
    for key, item in sorted(((_encode_key(key), item) for key, item in value.items()), key=itemgetter(0)):
        out += key
        _encode(item, out, depth + 1, left)


def _decode(data: bytes, at: int, depth: int, left: list[int]) -> tuple[Any, int]:
    if depth > MAX_DEPTH:
        raise EncodingError(f"nested deeper than {MAX_DEPTH}")
    initial = data[at]
    # First what most items are, digests and small integers, without another call; what is wrong is told further down.
    if initial == _BYTES_OF_ONE_BYTE and data[at + 1] >= _SHORT and (end := at + 2 + data[at + 1]) <= len(data):
        return bytes(data[at + 2 : end]), end
    if initial < _SHORT:
        return initial, at + 1
    major, info = initial >> 5, initial & 31
    if major == _SIMPLE:
        return _decode_simple(initial, at), at + 1
    argument, at = (info, at + 1) if info < _SHORT else _decode_argument(data, at, info)
    if major <= _NEGATIVE:
        return _decode_int(major, argument, at), at
    if major <= _TEXT:
        return _decode_string(data, at, argument, major)
    if major == _TAG:
        raise EncodingError(f"a tag at byte {at} has no place here")
    if argument > len(data) - at:  # an item has at least one byte; checked before anything is allocated
        raise EncodingError("CBOR ends in the middle of an item")
    _spend(left, argument if major == _ARRAY else 2 * argument)
    if major == _ARRAY:
        return _decode_array(data, at, argument, depth, left)
    return _decode_map(data, at, argument, depth, left)


def _decode_simple(initial: int, at: int) -> bool | None:
    if initial == _NULL:
        return None
    if initial in {_TRUE, _FALSE}:
        return initial == _TRUE
    raise EncodingError(f"a float or simple value at byte {at} has no place here")


def _decode_argument(data: bytes, at: int, info: int) -> tuple[int, int]:
    width = _WIDTH.get(info)
    if width is None:
        raise EncodingError(f"an indefinite or reserved length at byte {at}")
    end = at + 1 + width
    if end > len(data):
        raise EncodingError("CBOR ends in the middle of an item")
    argument = int.from_bytes(data[at + 1 : end], "big")
    if argument < _SHORT or (width > 1 and argument < 1 << (4 * width)):
        raise EncodingError(f"an integer or length at byte {at} is not in its shortest form")
    return argument, end


def _decode_int(major: int, argument: int, at: int) -> int:
    value = argument if major == _UNSIGNED else -1 - argument
    if not -MAX_INT <= value <= MAX_INT:
        raise EncodingError(f"an integer before byte {at} is beyond ±(2**53 - 1)")
    return value


def _decode_string(data: bytes, at: int, length: int, major: int) -> tuple[bytes | str, int]:
    end = at + length
    if end > len(data):
        raise EncodingError("CBOR ends in the middle of an item")
    raw = bytes(data[at:end])
    if major == _BYTES:
        return raw, end
    if b"\0" in raw:
        raise EncodingError(f"text at byte {at} holds a NUL")
    try:
        return raw.decode(), end
    except UnicodeDecodeError:
        raise EncodingError(f"text at byte {at} is not UTF-8") from None


def _decode_array(data: bytes, at: int, count: int, depth: int, left: list[int]) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = _decode(data, at, depth + 1, left)
        items.append(item)
    return items, at


def _decode_map(data: bytes, at: int, count: int, depth: int, left: list[int]) -> tuple[dict[Any, Any], int]:
    items: dict[Any, Any] = {}
    previous = b""
    for _ in range(count):
        start, initial = at, data[at]
        if initial >> 5 not in {_UNSIGNED, _NEGATIVE, _TEXT}:
            raise EncodingError(f"the map key at byte {at} is neither integer nor text")
        key: Any = None
        if initial & 31 < _SHORT:  # its argument, or its length, is in the initial byte
            at = start + 1 + (initial & 31 if initial >> 5 == _TEXT else 0)
            encoded = bytes(data[start:at])
            key = _read_short_key(encoded)
        if key is None:
            key, at = _decode(data, start, depth + 1, left)
            encoded = bytes(data[start:at])
        if encoded <= previous:
            raise EncodingError(f"the map key at byte {start} is repeated or out of order")
        previous = encoded
        items[key], at = _decode(data, at, depth + 1, left)
    return items, at


@lru_cache(maxsize=_KEPT_KEYS)
def _read_short_key(encoded: bytes) -> int | str | None:
    """A short key, of which the same few stand in every map; None if there is an error, for `_decode` to tell."""
    try:
        return _decode(encoded, 0, 1, [0, 0])[0]  # type: ignore[no-any-return]
    except EncodingError:
        return None
