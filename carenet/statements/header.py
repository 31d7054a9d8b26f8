"""The protected header of a statement, both ways (ARCHITECTURE section 4; labels: RFC 9052, 9596, 9597, hash envelope).

Every statement: alg, kid, typ, CWT claims, "net", "type". A control statement says content type (3) `application/cbor`
and carries its payload inline. A care statement is a COSE Hash Envelope: its payload is SHA-256 of the body (258), and
259 is the media type of the sealed plaintext; 3 is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carenet.encoding import cbor, cose
from carenet.encoding.ids import decode_id, encode_id, is_name, show_label
from carenet.errors import EncodingError, StatementError

TYP = "application/carenet-statement"
CONTROL_CONTENT = "application/cbor"
HASH_ALG, HASHED_CONTENT = 258, 259
SHA_256 = -16
ED25519_OVER_BATCH = -65537  # private use: the signature is a batch's (`carenet.statements.batch`)
MAX_CONTENT_TYPE = 127

ISS, SUB, IAT, CTI = 1, 2, 6, 7
_CTI_BYTES, _KID_BYTES, _NET_BYTES, _DIGEST_BYTES, _SHORT_BYTES = 16, 32, 32, 32, 16
_REQUIRED = {cose.ALG, cose.KID, cose.CWT_CLAIMS, cose.TYP, "net", "type"}
_OPTIONAL = {"compartment": None, "epoch": _SHORT_BYTES, "tag": _SHORT_BYTES, "replaces": _DIGEST_BYTES}
_OPTIONAL |= {"for": _DIGEST_BYTES}
_ALGS = {cose.EDDSA, ED25519_OVER_BATCH}
_FORM = {cose.CONTENT_TYPE, HASH_ALG, HASHED_CONTENT}


@dataclass(slots=True, unsafe_hash=True)  # never changed; not frozen, which costs 3 us for each record that is read
class Header:
    """What a statement says about itself.

    Attributes:
        network: 32 bytes, SHA-256 of the genesis file.
        type: the event type, a name such as `care.observation`.
        issuer: 32 bytes, the participant that signs.
        subject: 32 bytes, what the timeline is about.
        iat_s: when the issuer says it signed, seconds since 1970 UTC.
        cti: 16 bytes that the issuer never uses twice for one subject.
        kid: 32 bytes, thumbprint of the signing key.
        content_type: media type of the sealed plaintext of a care statement; None on a control statement.
        compartment: key scope inside the subject, a name.
        epoch: 16 bytes, the epoch that the body is sealed to.
        tag: 16 bytes by which an issuer that rebuilt a statement is recognised.
        replaces: digest of the statement that this one corrects.
        trigger: digest of the statement that this one reacts to ("for").
        alg: -8, signed singly, or -65537, signed as one of a batch.
    """

    network: bytes
    type: str
    issuer: bytes
    subject: bytes
    iat_s: int
    cti: bytes
    kid: bytes
    content_type: str | None = None
    compartment: str | None = None
    epoch: bytes | None = None
    tag: bytes | None = None
    replaces: bytes | None = None
    trigger: bytes | None = None
    alg: int = cose.EDDSA

    def encode(self) -> bytes:
        """The protected header's bytes."""
        claims = {ISS: encode_id(self.issuer), SUB: encode_id(self.subject), IAT: self.iat_s, CTI: self.cti}
        header: dict[int | str, Any] = {
            cose.ALG: self.alg,
            cose.KID: self.kid,
            cose.CWT_CLAIMS: claims,
            cose.TYP: TYP,
            "net": self.network,
            "type": self.type,
        }
        if self.content_type is None:
            header[cose.CONTENT_TYPE] = CONTROL_CONTENT
        else:
            header |= {HASH_ALG: SHA_256, HASHED_CONTENT: self.content_type}
        optional = {"compartment": self.compartment, "epoch": self.epoch, "tag": self.tag, "replaces": self.replaces}
        optional["for"] = self.trigger
        header |= {label: value for label, value in optional.items() if value is not None}
        return cbor.encode(header)


def parse_header(header: dict[int | str, Any]) -> Header:
    """Read a decoded protected header.

    Raises:
        StatementError: a missing, unknown or ill-formed label; the message names it and the rule.
    """
    _check_labels(header)
    _expect(_is_alg(header[cose.ALG]), "alg is -8 (EdDSA) or -65537 (Ed25519 over a batch)")
    _expect(header[cose.TYP] == TYP, f"typ is {TYP}")
    issuer, subject, iat_s, cti = _parse_claims(header[cose.CWT_CLAIMS])
    _expect(is_name(header["type"]), "type is a name")
    _expect(_is_raw(header[cose.KID], _KID_BYTES), "kid is 32 bytes")
    _expect(_is_raw(header["net"], _NET_BYTES), "net is 32 bytes")
    for label, length in _OPTIONAL.items():
        if label in header:
            value = header[label]
            _expect(is_name(value) if length is None else _is_raw(value, length), f"{label} is ill-formed")
    return Header(
        network=header["net"],
        type=header["type"],
        issuer=issuer,
        subject=subject,
        iat_s=iat_s,
        cti=cti,
        kid=header[cose.KID],
        content_type=_parse_form(header),
        compartment=header.get("compartment"),
        epoch=header.get("epoch"),
        tag=header.get("tag"),
        replaces=header.get("replaces"),
        trigger=header.get("for"),
        alg=header[cose.ALG],
    )


def _check_labels(header: dict[int | str, Any]) -> None:
    missing = _REQUIRED - header.keys()
    if missing:
        raise StatementError(f"header label {min(map(str, missing))} is missing")
    unknown = header.keys() - _REQUIRED - _OPTIONAL.keys() - _FORM
    if unknown:
        raise StatementError(f"header label {min(map(show_label, unknown))} is unknown")


def _parse_claims(claims: Any) -> tuple[bytes, bytes, int, bytes]:
    _expect(isinstance(claims, dict) and claims.keys() == {ISS, SUB, IAT, CTI}, "claims are iss, sub, iat and cti")
    _expect(isinstance(claims[ISS], str) and isinstance(claims[SUB], str), "iss and sub are text")
    iat_s, cti = claims[IAT], claims[CTI]
    _expect(isinstance(iat_s, int) and not isinstance(iat_s, bool) and iat_s >= 0, "iat is seconds since 1970")
    _expect(_is_raw(cti, _CTI_BYTES), "cti is 16 bytes")
    try:
        return decode_id(claims[ISS]), decode_id(claims[SUB]), iat_s, cti
    except EncodingError as exc:
        raise StatementError(f"iss or sub: {exc}") from exc


def _parse_form(header: dict[int | str, Any]) -> str | None:
    present = header.keys() & _FORM
    if present == {cose.CONTENT_TYPE}:
        _expect(header[cose.CONTENT_TYPE] == CONTROL_CONTENT, f"content type is {CONTROL_CONTENT}")
        return None
    _expect(present == {HASH_ALG, HASHED_CONTENT}, "a header has either label 3, or 258 and 259")
    _expect(header[HASH_ALG] == SHA_256, "258 is -16 (SHA-256)")
    content_type = header[HASHED_CONTENT]
    _expect(isinstance(content_type, str) and 0 < len(content_type) <= MAX_CONTENT_TYPE, "259 is a media type")
    return str(content_type)


def _is_alg(value: Any) -> bool:
    return isinstance(value, int) and value in _ALGS


def _is_raw(value: Any, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def _expect(holds: bool, rule: str) -> None:
    if not holds:
        raise StatementError(f"header: {rule}")
