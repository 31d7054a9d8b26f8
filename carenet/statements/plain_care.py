"""The one shape that nearly all records have, read by one pattern: care data with a tag, and its body beside it.

Deterministic CBOR leaves no choice in how such a record is written: its labels stand in one order, and everything of a
fixed length at a fixed distance from the one before. Whatever else comes, also what is wrong, is left to the general
codec (`carenet.statements.records`, `carenet.statements.statement`), so what is accepted is decided there alone: a
property test holds that whatever is read here is read the same there. It takes a tenth of the time.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from carenet.encoding.cose import EDDSA, NOTHING_UNPROTECTED
from carenet.encoding.ids import decode_id
from carenet.errors import EncodingError
from carenet.statements.batch import BatchPlace, match_place
from carenet.statements.header import ED25519_OVER_BATCH, Header
from carenet.statements.statement import Statement, parse_statement

_NAME_HEAD = rb"([\x61-\x77]|\x78[\x18-\x40])"  # of a text of 1 to 64 bytes
_NAME = rb"([a-z0-9._-]{1,64})"
_CONTENT = "application/fhir+json"
_FIELDS = (
    rb"\xd2\x84\x59([\x01-\xff].)"  # tag 18, [protected of 256 bytes or more, unprotected, payload, signature]
    rb"\xab\x01(\x27|\x3a\x00\x01\x00\x00)"  # eleven labels; alg
    rb"\x04\x58\x20(.{32})"  # kid
    rb"\x0f\xa4\x01\x78\x2b([\w-]{43})\x02\x78\x2b([\w-]{43})"  # claims: iss, sub
    rb"\x06\x1a(?!\x00\x00)(.{4})\x07\x50(.{16})"  # iat, cti
    rb"\x10\x78\x1dapplication/carenet-statement"
    rb"\x19\x01\x02\x2f\x19\x01\x03\x75application/fhir\+json"
    rb"\x63net\x58\x20(.{32})\x63tag\x50(.{16})"
    rb"\x64type" + _NAME_HEAD + _NAME + rb"\x65epoch\x50(.{16})"
    rb"\x6bcompartment" + _NAME_HEAD + _NAME
)
_STATEMENT = re.compile(_FIELDS, re.DOTALL)
_CLAIMS = (4, 6, 10, 11)  # its groups: iss, iat, the head of the type and the type
_RECORD = re.compile(rb"\x82\x59([\x01-\xff].)" + _FIELDS, re.DOTALL)  # [statement of 256 bytes or more, body]
_STATEMENT_AT, _PROTECTED_AT = 4, 9  # where the two begin in a record, behind their heads of three bytes
_REST = re.compile(
    rb"\x58\x20(.{32})\x58\x40(.{64})"  # payload, signature
    rb"(?:\x58([\x18-\xff])|\x59([\x01-\xff].)|\x5a(?!\x00\x00)(.{4}))",  # a body of 24 bytes or more
    re.DOTALL,
)
_ALGS = {b"\x27": EDDSA, b"\x3a\x00\x01\x00\x00": ED25519_OVER_BATCH}
_TEXT, _SHORT = 0x60, 24  # a text's major type, and the length from which on it stands in a byte of its own


def read_plain_care(value: bytes) -> tuple[Statement, bytes] | None:
    """The statement and body of a record's value, or None where it is of any other shape.

    Args:
        value: at most `records.MAX_RECORD_BYTES`, as for `records.decode_record`.
    """
    found = _RECORD.match(value)
    if found is None:
        return None
    fields, protected_end = found.groups(), found.end()
    if _PROTECTED_AT + int.from_bytes(fields[1], "big") != protected_end:
        return None
    header = _read_header(fields)
    if header is None:
        return None
    place, rest_at = _read_place(value, protected_end, header.alg)
    rest = _REST.match(value, rest_at)
    if rest is None:
        return None
    payload, signature, *lengths = rest.groups()
    statement_end, body_at = rest.end(2), rest.end()
    if _STATEMENT_AT + int.from_bytes(fields[0], "big") != statement_end:
        return None
    if body_at + int.from_bytes(lengths[0] or lengths[1] or lengths[2], "big") != len(value):
        return None
    protected = value[_PROTECTED_AT:protected_end]
    statement = Statement(value[_STATEMENT_AT:statement_end], protected, header, payload, signature, place)
    return statement, value[body_at:]


class Claims(NamedTuple):
    """Who signed a statement, what it is, and when it was signed by its own account.

    Attributes:
        issuer: 32 bytes.
        type: the event type.
        iat_s: seconds since 1970 UTC.
    """

    issuer: bytes
    type: str
    iat_s: int


def read_accepted_claims(statement: bytes) -> Claims:
    """Three fields of a statement that this node accepted, so that was checked when it came.

    Args:
        statement: its bytes.

    Raises:
        EncodingError, StatementError: as `parse_statement`, for what no fold accepts.
    """
    found = _STATEMENT.match(statement)
    if found is not None:
        iss, iat, type_head, type_ = found.group(*_CLAIMS)
        if type_head[-1] == _head_of(type_):
            return Claims(decode_id(iss.decode()), type_.decode(), int.from_bytes(iat, "big"))
    header = parse_statement(statement).header
    return Claims(header.issuer, header.type, header.iat_s)


def _read_header(fields: tuple[bytes, ...]) -> Header | None:
    (alg, kid, iss, sub, iat, cti, net, tag, type_head, type_, epoch, compartment_head, compartment) = fields[-13:]
    if type_head[-1] != _head_of(type_) or compartment_head[-1] != _head_of(compartment):
        return None
    try:
        issuer, subject = decode_id(iss.decode()), decode_id(sub.decode())
    except EncodingError:
        return None
    return Header(
        net, type_.decode(), issuer, subject, int.from_bytes(iat, "big"), cti, kid, _CONTENT, compartment.decode(),
        epoch, tag, None, None, _ALGS[alg],
    )  # fmt: skip


def _read_place(value: bytes, at: int, alg: int) -> tuple[BatchPlace | None, int]:
    """The unprotected header that goes with an alg, and where it ends; a place where nothing matches if it does not."""
    if alg == EDDSA:
        return None, at + 1 if value[at : at + 1] == NOTHING_UNPROTECTED else len(value)
    return match_place(value, at) or (None, len(value))


def _head_of(name: bytes) -> int:
    """The last byte of a text's head."""
    return len(name) if len(name) >= _SHORT else _TEXT | len(name)
