from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cbor, cose
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import StatementError
from carenet.statements.header import ED25519_OVER_BATCH, Header
from carenet.statements.statement import Unsigned, compute_tag, parse_statement, sign_batch, sign_statement
from carenet.statements.writing import (
    CareForm,
    Changing,
    encode_subject,
    sign_as_batch,
    sign_singly,
    template_of,
)
from tests.support.actors import actor

LAB = actor("lab")
ids = st.binary(min_size=32, max_size=32)
short = st.binary(min_size=16, max_size=16)
names = st.from_regex(r"[a-z0-9._-]{1,64}", fullmatch=True)
types = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=127)
headers = st.builds(
    Header,
    network=ids,
    type=names,
    issuer=ids,
    subject=ids,
    iat_s=st.integers(0, cbor.MAX_INT) | st.integers(1_700_000_000, 2_000_000_000),
    cti=short,
    kid=ids,
    content_type=types,
    compartment=names,
    epoch=short,
    tag=short,
    replaces=st.none() | ids,
    alg=st.sampled_from([cose.EDDSA, ED25519_OVER_BATCH]),
)
HEADER = Header(
    network=bytes(32),
    type="care.observation",
    issuer=LAB.id,
    subject=bytes(32),
    iat_s=1_790_000_000,
    cti=bytes(16),
    kid=LAB.kid,
    content_type="application/fhir+json",
    compartment="clinical",
    epoch=bytes(16),
    tag=bytes(16),
)


def form_of(header: Header) -> CareForm:
    assert header.content_type is not None
    assert header.compartment is not None
    return CareForm(
        header.network,
        header.issuer,
        header.kid,
        header.type,
        header.content_type,
        header.compartment,
        header.replaces is not None,
        header.alg,
    )


def changing_of(header: Header) -> Changing:
    assert header.epoch is not None
    return Changing(header.subject, header.cti, header.epoch, header.replaces)


@given(headers)
def test_a_templates_header_is_the_general_encoders(header: Header) -> None:
    assert header.tag is not None
    written = template_of(form_of(header)).write_header(changing_of(header), header.iat_s, header.tag)
    assert written == header.encode()


@given(headers, st.binary(max_size=400), st.binary(min_size=1, max_size=40))
def test_a_templates_tag_is_the_general_one(header: Header, plaintext: bytes, secret: bytes) -> None:
    written = template_of(form_of(header)).compute_tag(secret, changing_of(header), plaintext)
    assert written == compute_tag(secret, header, plaintext)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"cti": bytes(15)}, "16 bytes"),
        ({"epoch": bytes(17)}, "16 bytes"),
        ({"subject": bytes(31)}, "32 bytes"),
        ({"replaces": bytes(32)}, "where the form says so"),
    ],
)
def test_no_header_is_written_that_a_reader_would_refuse(change: dict[str, bytes], rule: str) -> None:
    changing = changing_of(HEADER)._replace(**change)
    with pytest.raises(ValueError, match=rule):
        template_of(form_of(HEADER)).write_header(changing, 1_790_000_000, bytes(16))


def test_a_digest_of_another_length_is_not_written() -> None:
    replacing = replace(HEADER, replaces=bytes(32))
    with pytest.raises(ValueError, match="replaces has 32 bytes"):
        template_of(form_of(replacing)).write_header(changing_of(replacing)._replace(replaces=b"x"), 1, bytes(16))


@pytest.mark.parametrize("change", [{"type": "Not A Name"}, {"compartment": ""}, {"content_type": "x" * 128}])
def test_no_template_is_made_of_a_header_that_a_reader_would_refuse(change: dict[str, str]) -> None:
    with pytest.raises(StatementError):
        template_of(form_of(replace(HEADER, **change)))


def test_a_subjects_id_is_written_as_its_text() -> None:
    assert encode_subject(LAB.id) == encode_id(LAB.id).encode()


def test_statements_written_without_reading_are_those_that_are_read_back() -> None:
    singly = [replace(HEADER, cti=bytes([number]) * 16) for number in range(3)]
    wanted = [sign_statement(header, sha256(header.cti), LAB.key).encoded for header in singly]
    assert sign_singly([(header.encode(), sha256(header.cti)) for header in singly], LAB.key) == wanted
    batched = [Unsigned.of(replace(header, alg=ED25519_OVER_BATCH), sha256(header.cti)) for header in singly]
    together = sign_as_batch(bytes(32), [(each.protected, each.payload) for each in batched], LAB.key)
    assert together == [each.encoded for each in sign_batch(batched, LAB.key)]
    assert all(parse_statement(each).is_signed_by(LAB.key.public) for each in together)
