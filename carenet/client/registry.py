"""Registering: patients with an opening key that nobody keeps, and participants with their own consent.

A subject's id is only a name: the thumbprint of an opening key that signs the whole content of `subject.open` and is
then dropped. So nobody opens another's timeline, and nobody keeps a hidden owner's key.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from carenet.client.access import Access
from carenet.client.drafts import Control
from carenet.client.wrapping import Wrapper, Wraps, next_epochs, private_halves, public_halves
from carenet.encoding.cose import compute_thumbprint
from carenet.encoding.ed25519 import KEY_BYTES, SigningKey
from carenet.errors import RefusedError
from carenet.fhir.compartments import COMPARTMENTS
from carenet.rules.reasons import Reason
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import Identity
from carenet.statements.keys import SIGNATURE_BYTES
from carenet.statements.payloads import Admit, Open, Rotate


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing choices of a new timeline.

    Attributes:
        custodians: participants that hold its keys, the deciding one first; one to five.
        write: roles that may write unasked.
        emergency: whether emergency access is allowed.
        compartments: key scopes.
    """

    custodians: tuple[bytes, ...]
    write: tuple[str, ...] = ("lab", "pharmacy")
    emergency: bool = True
    compartments: Sequence[str] = COMPARTMENTS


@dataclass(frozen=True, slots=True)
class Opening:
    """A timeline that is about to be opened.

    Attributes:
        draft: the subject.open.
        epochs: its first epochs, by compartment.
    """

    draft: Control
    epochs: dict[str, EpochKeys] = field(repr=False)

    def access(self, digest: bytes) -> Access:
        """The access state once it is accepted."""
        access = Access(self.draft.subject)
        access.apply_payload(self.draft.payload, digest, 0)
        return access


async def draft_opening(standing: Standing, registrar: Identity, wrapper: Wrapper) -> Opening:
    """Make the opening key and the first epochs, wrap these to the custodians, and sign with the opening key.

    Args:
        standing: the standing choices.
        registrar: who will sign the statement.
        wrapper: to wrap keys to custodians.

    Raises:
        RefusedError: a custodian that is unknown, suspended or has no HPKE key.
        ProofError: a gateway's answer about a custodian does not hold.
    """
    opening = SigningKey(secrets.token_bytes(KEY_BYTES))
    subject = compute_thumbprint(opening.public)
    epochs = next_epochs(standing.compartments)
    wraps = await wrapper.wrap(subject, standing.custodians, private_halves(epochs))
    if wraps.to != standing.custodians:
        raise RefusedError(Reason.UNKNOWN_PARTICIPANT, "a custodian is suspended or has no HPKE key")
    unsigned = _open_payload(standing, epochs, opening.public, wraps)
    proof = opening.sign(unsigned.binding(registrar.network, registrar.id))
    payload = replace(unsigned, proof=proof)
    return Opening(Control(subject, "subject.open", payload, wraps.body), epochs)


def _open_payload(standing: Standing, epochs: dict[str, EpochKeys], opening: bytes, wraps: Wraps) -> Open:
    return Open(
        kind="patient",
        custodians=standing.custodians,
        epochs=public_halves(epochs),
        write=standing.write,
        emergency=standing.emergency,
        opening=opening,
        proof=bytes(SIGNATURE_BYTES),  # the opening key signs all other fields
        to=wraps.to,
        brings=wraps.brings,
        body=wraps.body_hash,
    )


def apply_for_admission(
    applicant: Identity,
    admitter: bytes,
    roles: Sequence[str],
    *,
    organisation: bytes | None = None,
    may_give: Sequence[str] = (),
) -> Admit:
    """The admission that an applicant agrees to with its own key; whoever admits it signs the statement.

    Args:
        applicant: whose keys are admitted.
        admitter: id of the authority or organisation that will sign, 32 bytes.
        roles: what it may sign.
        organisation: the organisation that it will belong to, or None.
        may_give: roles that it, as an organisation, may give to its own members.
    """
    unsigned = Admit(
        name=applicant.name,
        organisation=organisation,
        roles=tuple(roles),
        may_give=tuple(may_give),
        sign=applicant.sign_key.public,
        hpke=applicant.hpke_public,
        proof=bytes(SIGNATURE_BYTES),
    )
    return replace(unsigned, proof=applicant.sign_key.sign(unsigned.binding(applicant.network, admitter)))


def apply_for_rotation(renewed: Identity, issuer: bytes) -> Rotate:
    """The rotation to a participant's newest keys, signed by the new signing key.

    Args:
        renewed: the identity with its new keys last (`Identity.rotated`), already saved.
        issuer: id of the participant that will sign the statement: itself, its organisation or the authority.
    """
    unsigned = Rotate(renewed.id, renewed.sign_key.public, renewed.hpke_public, bytes(SIGNATURE_BYTES))
    return replace(unsigned, proof=renewed.sign_key.sign(unsigned.binding(renewed.network, issuer)))
