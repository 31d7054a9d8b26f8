"""The one pattern for plain care data: it reads what the general codec reads, and nothing that that one refuses."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from carenet.encoding import cose
from carenet.encoding.ids import sha256
from carenet.errors import BadInputError
from carenet.statements.header import ED25519_OVER_BATCH, Header
from carenet.statements.plain_care import Claims, read_accepted_claims, read_plain_care
from carenet.statements.records import RecordValue, decode_record, encode_record
from carenet.statements.statement import Statement, Unsigned, parse_statement, sign_batch, sign_statement
from tests.support.actors import NOW_S, actor

WRITER = actor("writer")
NAMES = st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True)
HEADER = Header(
    network=bytes(32),
    type="care.observation",
    issuer=WRITER.id,
    subject=actor("patient").id,
    iat_s=NOW_S,
    cti=bytes(16),
    kid=WRITER.kid,
    content_type="application/fhir+json",
    compartment="clinical",
    epoch=bytes(16),
    tag=bytes(16),
)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Headers of the one shape."""

    def raw(length: int) -> bytes:
        return draw(st.binary(min_size=length, max_size=length))

    return replace(
        HEADER,
        network=raw(32),
        type=draw(NAMES),
        subject=raw(32),
        iat_s=draw(st.integers(1 << 16, (1 << 32) - 1)),
        cti=raw(16),
        compartment=draw(NAMES),
        epoch=raw(16),
        tag=raw(16),
    )


def signed(header: Header, body: bytes, batch: int = 0, index: int = 0) -> Statement:
    """The statement, singly signed or as one of a batch."""
    if not batch:
        return sign_statement(header, sha256(body), WRITER.key)
    parts = Unsigned.of(replace(header, alg=ED25519_OVER_BATCH), sha256(body))
    return sign_batch([parts] * batch, WRITER.key)[index]


def generally(value: bytes) -> tuple[Statement, bytes | None] | None:
    """What the general codec makes of a record without a proof."""
    try:
        record = decode_record(value)
        return None if record.proof is not None else (parse_statement(record.statement), record.body)
    except BadInputError:
        return None


@given(headers(), st.sampled_from([24, 255, 256, 1736, 65_535, 65_536]), st.data())
@example(HEADER, 24, None)
def test_plain_care_is_read_and_alike(header: Header, length: int, data: st.DataObject | None) -> None:
    body = bytes(length)
    batch = data.draw(st.sampled_from([0, 1, 2, 3, 40, 600])) if data else 0
    statement = signed(header, body, batch, batch // 2)
    value = encode_record(RecordValue(statement.encoded, body))
    read = read_plain_care(value)
    assert read == generally(value) == (statement, body)
    assert read[0].digest == statement.digest
    assert read[0].is_signed_by(WRITER.key.public)


@settings(max_examples=400)
@given(
    st.sampled_from([0, 1, 5]),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 3), st.integers(0, 255)), min_size=1, max_size=3
    ),
)
def test_what_is_read_of_changed_bytes_is_what_the_general_codec_reads(
    batch: int, changes: list[tuple[float, int, int]]
) -> None:
    body = b"sealed" * 8
    data = bytearray(encode_record(RecordValue(signed(HEADER, body, batch).encoded, body)))
    for where, how, byte in changes:
        at = int(where * len(data))
        if how == 0:
            data[at] ^= byte
        elif how == 1:
            data.insert(at, byte)
        else:
            del data[at : at + how]
    read = read_plain_care(bytes(data))
    assert read is None or read == generally(bytes(data))


def test_every_single_bit_that_flips_is_read_alike_or_left_to_the_general_codec() -> None:
    body = b"sealed" * 8
    for batch in (0, 3):
        value = encode_record(RecordValue(signed(HEADER, body, batch, batch // 2).encoded, body))
        for bit in range(8 * (len(value) - len(body))):
            data = bytearray(value)
            data[bit // 8] ^= 1 << bit % 8
            read = read_plain_care(bytes(data))
            assert read is None or read == generally(bytes(data))


def test_other_shapes_are_left_to_the_general_codec() -> None:
    body = bytes(40)
    for header in (
        replace(HEADER, tag=None),
        replace(HEADER, replaces=bytes(32)),
        replace(HEADER, content_type="text/plain"),
        replace(HEADER, iat_s=(1 << 16) - 1),
        replace(HEADER, iat_s=1 << 32),
    ):
        value = encode_record(RecordValue(signed(header, body).encoded, body))
        assert read_plain_care(value) is None
        assert generally(value) is not None
    statement = signed(HEADER, body)
    assert read_plain_care(encode_record(RecordValue(statement.encoded, None))) is None
    assert read_plain_care(encode_record(RecordValue(statement.encoded, bytes(23)))) is None
    unsorted = cose.encode_sign1(statement.protected, statement.payload, statement.signature, {"x": 1})
    assert read_plain_care(encode_record(RecordValue(unsorted, body))) is None


@given(headers(), st.booleans())
def test_an_accepted_statement_claims_what_the_general_codec_reads(header: Header, is_plain: bool) -> None:
    statement = signed(header if is_plain else replace(header, tag=None), b"body of at least 24 bytes")
    read = parse_statement(statement.encoded).header
    assert read_accepted_claims(statement.encoded) == Claims(read.issuer, read.type, read.iat_s)
