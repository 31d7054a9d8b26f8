"""Care data built in bulk: sealed, signed singly or as batches, and ready for the spool; pure but for sealing's random.

How it is signed is chosen before it is sealed, since the header says so and the body is bound to the header. A
statement of a batch stands alone all the same: it carries its own path, can be sent again by itself, and a neighbour
that is refused does it no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from carenet.client.drafts import Care, keep_plaintext
from carenet.client.spool import Letter
from carenet.client.subjects import Epoch
from carenet.encoding import cose
from carenet.encoding.ids import sha256
from carenet.sealing.bodies import seal_body
from carenet.sealing.identity import Identity
from carenet.statements.header import ED25519_OVER_BATCH
from carenet.statements.writing import CareForm, CareTemplate, Changing, sign_as_batch, sign_singly, template_of

# Where a statement costs its verifier least: six hashes of the path and a sixty-fourth of a signature, together 3 us;
# of 1,024 it would be ten hashes, and a path of 136 bytes more to carry.
BATCH_SIZE = 64
Signing = Literal["single", "batch"]


def build_care_batch(
    drafts: Sequence[Care], epochs: Sequence[Epoch], identity: Identity, now_s: int, signing: Signing = "single"
) -> list[Letter]:
    """Seal and sign care data.

    Args:
        drafts: what to say.
        epochs: the current and proven one of each draft's compartment, in the same order.
        identity: who says it.
        now_s: seconds since 1970.
        signing: one signature each, or one for every 64 of them.

    Raises:
        SealError: a content is beyond the padding's limit.
        StatementError: a draft's type or compartment is no name.
    """
    # One step for all drafts before the next step: between two seals, which fill the caches, each step would cost more.
    headers = _write_headers(drafts, epochs, identity, now_s, cose.EDDSA if signing == "single" else ED25519_OVER_BATCH)
    bodies = [
        seal_body(header, draft.plaintext, epoch.public)
        for header, draft, epoch in zip(headers, drafts, epochs, strict=True)
    ]
    statements = _sign(
        [(header, sha256(body)) for header, body in zip(headers, bodies, strict=True)], identity, signing
    )
    return [
        Letter(draft.subject, draft.cti, statement, body, keep_plaintext(draft, identity))
        for draft, statement, body in zip(drafts, statements, bodies, strict=True)
    ]


def _write_headers(
    drafts: Sequence[Care], epochs: Sequence[Epoch], identity: Identity, now_s: int, alg: int
) -> list[bytes]:
    templates: dict[tuple[str, str, str, bool], CareTemplate] = {}  # looking one up in its cache costs ten times more
    headers = []
    for draft, epoch in zip(drafts, epochs, strict=True):
        kind = draft.type, draft.content_type, draft.compartment, draft.replaces is not None
        template = templates.get(kind)
        if template is None:
            template = templates[kind] = template_of(CareForm(identity.network, identity.id, identity.kid, *kind, alg))
        changing = Changing(draft.subject, draft.cti, epoch.id, draft.replaces)
        tag = template.compute_tag(identity.tag_secret, changing, draft.plaintext)
        headers.append(template.write_header(changing, now_s, tag))
    return headers


def _sign(parts: list[tuple[bytes, bytes]], identity: Identity, signing: Signing) -> list[bytes]:
    if signing == "single":
        return sign_singly(parts, identity.sign_key)
    statements = []
    for start in range(0, len(parts), BATCH_SIZE):
        statements += sign_as_batch(identity.network, parts[start : start + BATCH_SIZE], identity.sign_key)
    return statements
