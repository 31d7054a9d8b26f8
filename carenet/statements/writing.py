"""Writing many care statements of one publisher: whatever does not change is encoded once, and nothing is read back.

A template's bytes are those of the general encoder (`Header.encode`, `compute_tag`), taken apart at the fields that
change; it is checked as a reader would when it is made. Not done here: sealing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from carenet.encoding import cbor, cose
from carenet.encoding.cbor import encode_head
from carenet.encoding.ed25519 import SigningKey
from carenet.encoding.ids import encode_id, sha256
from carenet.statements.batch import encode_place, sign_together
from carenet.statements.header import Header, parse_header
from carenet.statements.statement import TAG_BYTES

_BYTES = 2  # the CBOR major type of byte strings
_SHORT_BYTES, _DIGEST_BYTES = 16, 32
_UINT32 = 0x1A  # the head of an integer in four bytes, as `iat` is from 1970 to 2106
_LEAST_UINT32, _ABOVE_UINT32 = 1 << 16, 1 << 32
_KEPT_TEMPLATES = 4096  # one for each event type and compartment of a publisher
# What stands in a sample where a field that changes will stand; no constant field can hold these by chance.
_SUBJECT, _REPLACED = sha256(b"the subject of a template"), sha256(b"what a template replaces")
_CTI, _EPOCH, _TAG = (sha256(name)[:_SHORT_BYTES] for name in (b"cti", b"epoch", b"tag"))
_IAT_S = 0x9E3779B9


@dataclass(frozen=True, slots=True)
class CareForm:
    """What one publisher's care statements of one type have in common; the fields are those of `Header`.

    Attributes:
        is_replacing: whether they carry `replaces`.
    """

    network: bytes
    issuer: bytes
    kid: bytes
    type: str
    content_type: str
    compartment: str
    is_replacing: bool
    alg: int


class Changing(NamedTuple):
    """What differs from one statement to the next; a named tuple because one is made for each.

    Attributes:
        subject: 32 bytes.
        cti: 16 bytes.
        epoch: 16 bytes.
        replaces: 32 bytes where the form has it, else None.
    """

    subject: bytes
    cti: bytes
    epoch: bytes
    replaces: bytes | None


@dataclass(frozen=True, slots=True)
class CareTemplate:
    """The header and tag of a form's statements, but for what changes; made by `template_of`."""

    form: CareForm
    _sample: Header
    _header: tuple[bytes, ...]
    _said: tuple[bytes, ...]

    def write_header(self, changing: Changing, iat_s: int, tag: bytes) -> bytes:
        """The protected header.

        Args:
            changing: the statement's own fields.
            iat_s: seconds since 1970.
            tag: 16 bytes of `compute_tag`.

        Raises:
            ValueError: a field of another length, or `replaces` against the form.
        """
        subject, cti, epoch, replaces = changing
        _check_lengths(changing, tag, is_replacing=self.form.is_replacing)
        if not _LEAST_UINT32 <= iat_s < _ABOVE_UINT32:  # not of our century; in its shortest form it has other bytes
            rare = replace(self._sample, subject=subject, iat_s=iat_s, cti=cti)
            return replace(rare, epoch=epoch, tag=tag, replaces=replaces).encode()
        filled = [encode_subject(subject), iat_s.to_bytes(4, "big"), cti, tag, epoch]
        if replaces is not None:
            filled.append(replaces)
        first, *others = self._header
        return first + b"".join([part for pair in zip(filled, others, strict=True) for part in pair])

    def compute_tag(self, secret: bytes, changing: Changing, plaintext: bytes) -> bytes:
        """As `carenet.statements.statement.compute_tag`, 16 bytes."""
        first, second, third, *end = self._said
        said = first + changing.subject + second + changing.cti + third
        if changing.replaces is not None:
            said += changing.replaces + end[0]
        said += encode_head(_BYTES, len(plaintext)) + plaintext
        return hmac.new(secret, said, hashlib.sha256).digest()[:TAG_BYTES]


@lru_cache(maxsize=_KEPT_TEMPLATES)
def template_of(form: CareForm) -> CareTemplate:
    """The template of a form.

    Raises:
        StatementError: a reader would refuse such a header.
    """
    replaces = _REPLACED if form.is_replacing else None
    sample = Header(
        network=form.network,
        type=form.type,
        issuer=form.issuer,
        subject=_SUBJECT,
        iat_s=_IAT_S,
        cti=_CTI,
        kid=form.kid,
        content_type=form.content_type,
        compartment=form.compartment,
        epoch=_EPOCH,
        tag=_TAG,
        replaces=replaces,
        alg=form.alg,
    )
    encoded = sample.encode()
    parse_header(cbor.decode(encoded))
    iat = _IAT_S.to_bytes(4, "big")
    optional = [_REPLACED] if form.is_replacing else []
    header = _split(encoded, [encode_id(_SUBJECT).encode(), iat, _CTI, _TAG, _EPOCH, *optional])
    said = cbor.encode([_SUBJECT, form.type, _CTI, form.compartment, replaces, b""])[:-1]  # the plaintext's head goes
    return CareTemplate(form, sample, header, _split(said, [_SUBJECT, _CTI, *optional]))


def encode_subject(subject: bytes) -> bytes:
    """A subject's id as the bytes of its text, which is also a record's key."""
    return encode_id(subject).encode()


def sign_singly(parts: Sequence[tuple[bytes, bytes]], key: SigningKey) -> list[bytes]:
    """The encoded statements of protected headers and payloads, each with a signature of its own.

    Args:
        parts: protected header with alg -8, and payload.
        key: the issuer's signing key.
    """
    return [
        cose.frame_sign1(
            protected, cose.NOTHING_UNPROTECTED, payload, key.sign(cose.encode_sig_structure(protected, payload))
        )
        for protected, payload in parts
    ]


def sign_as_batch(network: bytes, parts: Sequence[tuple[bytes, bytes]], key: SigningKey) -> list[bytes]:
    """The encoded statements of protected headers and payloads, under one signature.

    Args:
        network: the network's id, which every header names.
        parts: 1 to 1,024 times protected header with alg -65537, and payload.
        key: the issuer's signing key.
    """
    signature, places = sign_together(network, [cose.encode_sig_structure(*each) for each in parts], key)
    return [
        cose.frame_sign1(protected, encode_place(place), payload, signature)
        for (protected, payload), place in zip(parts, places, strict=True)
    ]


def _split(encoded: bytes, markers: Sequence[bytes]) -> tuple[bytes, ...]:
    """The constant parts around markers, which stand in this order, each once."""
    parts = []
    for marker in markers:
        before, found, encoded = encoded.partition(marker)
        assert found, "the encoder's order of fields is that of the markers"
        parts.append(before)
    return (*parts, encoded)


def _check_lengths(changing: Changing, tag: bytes, *, is_replacing: bool) -> None:
    if not len(changing.cti) == len(changing.epoch) == len(tag) == _SHORT_BYTES:
        raise ValueError("cti, epoch and tag have 16 bytes")
    if is_replacing != (changing.replaces is not None):
        raise ValueError("replaces is there where the form says so")
    if changing.replaces is not None and len(changing.replaces) != _DIGEST_BYTES:
        raise ValueError("replaces has 32 bytes")
