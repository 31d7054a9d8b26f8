"""From content to signed statements: pure, but for the randomness of sealing.

A draft is what a caller means; it can be built again (to a newer epoch, or for a later time) with the same cti and tag,
and so stays one event however often it is built.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from carenet.client.spool import Letter
from carenet.client.subjects import Epoch
from carenet.encoding.ids import sha256
from carenet.errors import ResourceError
from carenet.fhir.compartments import compartment_of, event_type_of
from carenet.fhir.resources import MAX_BODY_BYTES
from carenet.sealing.bodies import seal_body
from carenet.sealing.identity import Identity
from carenet.sealing.keeping import open_own, seal_own
from carenet.statements.header import Header
from carenet.statements.shape import Shape
from carenet.statements.statement import Statement, compute_tag, parse_statement, sign_statement

FHIR_JSON = "application/fhir+json"
CTI_BYTES = 16
_SPOOLED = "spool"


@dataclass(frozen=True, slots=True)
class Care:
    """Care data that is to be published.

    Attributes:
        subject: the patient's id, 32 bytes.
        type: the event type.
        compartment: what it is sealed into.
        plaintext: the content in the bytes that came.
        cti: 16 bytes that this publisher uses once for the subject.
        replaces: digest of the statement that it corrects.
        content_type: media type of the plaintext.
    """

    subject: bytes
    type: str
    compartment: str
    plaintext: bytes = field(repr=False)
    cti: bytes
    replaces: bytes | None = None
    content_type: str = FHIR_JSON


@dataclass(frozen=True, slots=True)
class Control:
    """A control statement that is to be published.

    Attributes:
        subject: 32 bytes.
        type: the event type.
        payload: its model; names the body by its hash where there is one.
        body: wraps, or what a person wrote, sealed; or None.
        cti: 16 bytes that this publisher uses once for the subject.
        compartment, replaces, trigger: header fields where they apply.
    """

    subject: bytes
    type: str
    payload: Shape
    body: bytes | None = field(default=None, repr=False)
    cti: bytes = field(default_factory=lambda: secrets.token_bytes(CTI_BYTES))
    compartment: str | None = None
    replaces: bytes | None = None
    trigger: bytes | None = None


Draft = Care | Control


def draft_resource(
    subject: bytes,
    resource: dict[str, Any] | bytes | str,
    cti: bytes | None = None,
    replaces: bytes | None = None,
    compartment: str | None = None,
) -> Care:
    """A draft of a FHIR R4 resource, which is sealed in the bytes that came.

    Args:
        subject: the patient's id, 32 bytes.
        resource: FHIR JSON; a dict is written as compact JSON.
        cti: 16 bytes (`carenet.fhir.identity.derive_cti`); None draws them, and then the same call again is another
            event.
        replaces: digest of the statement that this one corrects.
        compartment: None takes the one that `compartments.toml` says.

    Raises:
        ResourceError: not JSON, no `resourceType` that the table lists, or too large.
    """
    plaintext, resource_type = _read_resource(resource)
    if cti is not None and len(cti) != CTI_BYTES:
        raise ValueError(f"a cti has {CTI_BYTES} bytes")
    where = compartment_of(resource_type) if compartment is None else compartment
    fresh = secrets.token_bytes(CTI_BYTES) if cti is None else cti
    return Care(subject, event_type_of(resource_type), where, plaintext, fresh, replaces)


def build_care(draft: Care, epoch: Epoch, identity: Identity, now_s: int) -> tuple[Statement, Letter]:
    """Seal and sign care data, one draft at a time and by the general encoder; `building` does many.

    Args:
        draft: what to say.
        epoch: the compartment's current one, proven.
        identity: who says it.
        now_s: seconds since 1970.

    Raises:
        SealError: the content is beyond the padding's limit.
    """
    header = _header(draft, identity, now_s, epoch)
    body = seal_body(header.encode(), draft.plaintext, epoch.public)
    statement = sign_statement(header, sha256(body), identity.sign_key)
    return statement, Letter(draft.subject, draft.cti, statement.encoded, body, keep_plaintext(draft, identity))


def keep_plaintext(draft: Care, identity: Identity) -> bytes:
    """A draft's content as its letter keeps it, for its publisher alone."""
    return seal_own(identity.tag_secret, _SPOOLED, draft.plaintext)


def build_control(draft: Control, identity: Identity, now_s: int) -> tuple[Statement, Letter]:
    """Sign a control statement."""
    payload = draft.payload.encode()
    statement = sign_statement(_header(draft, identity, now_s, None, payload), payload, identity.sign_key)
    return statement, Letter(draft.subject, draft.cti, statement.encoded, draft.body)


def restore_care(letter: Letter, identity: Identity) -> Care | None:
    """The draft of a spooled letter, to build it again; None for a control statement, which is only resent.

    Raises:
        SealError: the plaintext was kept by other keys.
    """
    if letter.plaintext is None:
        return None
    header = parse_statement(letter.statement).header
    assert header.compartment is not None
    assert header.content_type is not None
    plaintext = open_own(identity.tag_secret, _SPOOLED, letter.plaintext)
    return Care(
        header.subject, header.type, header.compartment, plaintext, header.cti, header.replaces, header.content_type
    )


def _header(
    draft: Draft, identity: Identity, now_s: int, epoch: Epoch | None, control_payload: bytes | None = None
) -> Header:
    """The header with its tag; for control statements the tag covers the payload."""
    bare = Header(
        network=identity.network,
        type=draft.type,
        issuer=identity.id,
        subject=draft.subject,
        iat_s=now_s,
        cti=draft.cti,
        kid=identity.kid,
        content_type=draft.content_type if isinstance(draft, Care) else None,
        compartment=draft.compartment,
        epoch=epoch.id if epoch else None,
        replaces=draft.replaces,
        trigger=draft.trigger if isinstance(draft, Control) else None,
    )
    said = draft.plaintext if isinstance(draft, Care) else control_payload
    assert said is not None
    return replace(bare, tag=compute_tag(identity.tag_secret, bare, said))


def _read_resource(resource: dict[str, Any] | bytes | str) -> tuple[bytes, str]:
    try:
        plaintext = _to_json(resource)
        parsed = resource if isinstance(resource, dict) else orjson.loads(plaintext)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, UnicodeEncodeError) as exc:
        raise ResourceError("the resource is not JSON") from exc
    resource_type = parsed.get("resourceType") if isinstance(parsed, dict) else None
    if not isinstance(resource_type, str):
        raise ResourceError("the resource is not FHIR: it has no resourceType")
    if len(plaintext) > MAX_BODY_BYTES:
        raise ResourceError(f"the resource has {len(plaintext)} bytes; at most {MAX_BODY_BYTES}")
    return plaintext, resource_type


def _to_json(resource: dict[str, Any] | bytes | str) -> bytes:
    if isinstance(resource, dict):
        return orjson.dumps(resource)
    return resource.encode() if isinstance(resource, str) else bytes(resource)
