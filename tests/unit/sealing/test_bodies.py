from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding import cose
from carenet.encoding.ed25519 import SigningKey
from carenet.encoding.ids import sha256
from carenet.errors import SealError
from carenet.sealing.bodies import open_body, seal_body
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.hpke import OVERHEAD_BYTES
from carenet.sealing.padme import padded_length
from carenet.statements.header import Header
from carenet.statements.statement import Statement, sign_statement

KEY = SigningKey(bytes(32))
EPOCH = EpochKeys.generate()
HEADER = Header(
    network=bytes(32),
    type="care.observation",
    issuer=bytes(32),
    subject=bytes([1]) * 32,
    iat_s=1,
    cti=bytes(16),
    kid=cose.compute_thumbprint(KEY.public),
    content_type="application/fhir+json",
    compartment="clinical",
    epoch=EPOCH.id,
)


def _sealed(plaintext: bytes, header: Header = HEADER) -> tuple[Statement, bytes]:
    body = seal_body(header.encode(), plaintext, EPOCH.public)
    return sign_statement(header, sha256(body), KEY), body


@given(st.binary(max_size=300))
def test_a_sealed_body_opens_to_the_bytes_that_came(plaintext: bytes):
    statement, body = _sealed(plaintext)
    assert len(body) == OVERHEAD_BYTES + padded_length(4 + len(plaintext))
    assert open_body(statement, body, EPOCH.private) == plaintext


@given(st.data())
def test_any_flipped_bit_of_a_body_is_refused(data: st.DataObject):
    statement, sealed = _sealed(b"content")
    body = bytearray(sealed)
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_body(statement, bytes(body), EPOCH.private)
    forged = sign_statement(HEADER, sha256(bytes(body)), KEY)  # even where the statement names the changed body
    with pytest.raises(SealError):
        open_body(forged, bytes(body), EPOCH.private)


@pytest.mark.parametrize(
    "change",
    [{"subject": bytes(32)}, {"issuer": bytes([9]) * 32}, {"cti": b"\1" * 16}, {"compartment": "medication"}],
    ids=lambda change: next(iter(change)),
)
def test_a_body_under_another_header_is_refused(change: dict[str, bytes | str]):
    _, body = _sealed(b"content")
    other = sign_statement(replace(HEADER, **change), sha256(body), KEY)
    with pytest.raises(SealError):
        open_body(other, body, EPOCH.private)


def test_a_key_of_another_epoch_is_refused_before_it_is_tried():
    statement, body = _sealed(b"content")
    with pytest.raises(SealError, match="epoch"):
        open_body(statement, body, EpochKeys.generate().private)
