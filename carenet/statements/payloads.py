"""Payload models of the control statements: one frozen dataclass a type, fields in the words of ARCHITECTURE.

`PAYLOADS` leads from an event type to its model. CDDL of all of them: docs/formats.md. Control payloads hold codes,
ids, public keys and times only; what a person wrote, and all wrapped keys, are the body that `body` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from carenet.encoding import cbor
from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import ID_BYTES
from carenet.statements import keys
from carenet.statements.shape import (
    Shape,
    boolean,
    identity,
    integer,
    listing,
    mapping,
    maybe,
    name,
    one_of,
    raw,
)

MAX_WRAPS = 500  # in one body; more go into key.share
MAX_BROUGHT = 64  # epochs that one statement's wraps bring
MAX_CUSTODIANS = 5
ACTIONS = ("read", "write", "manage")

_Id = Annotated[bytes, identity]
_Names = Annotated[tuple[str, ...], listing(name, 0, 16)]
_SignKey = Annotated[bytes, raw(keys.SIGN_BYTES)]
_HpkeKey = Annotated[bytes | None, maybe(raw(keys.HPKE_BYTES))]
_Signature = Annotated[bytes, raw(keys.SIGNATURE_BYTES)]
_Epochs = Annotated[dict[str, bytes] | None, mapping(raw(keys.HPKE_BYTES), 1, 16)]
_Recipients = Annotated[tuple[bytes, ...] | None, listing(identity, 1, MAX_WRAPS)]
_Brought = Annotated[tuple[bytes, ...] | None, listing(raw(keys.EPOCH_ID_BYTES), 1, MAX_BROUGHT)]
_BodyHash = Annotated[bytes | None, raw(ID_BYTES)]


@dataclass(frozen=True, slots=True)
class Admit(Shape):
    """participant.admit: the key `sign` becomes a participant, whose id is that key's thumbprint.

    `organisation` is None for an organisation itself (or a participant outside any); `may_give` are the roles that it
    may give to its own members; `proof` is the admitted key's signature over `binding`.
    """

    name: Annotated[str, name]
    organisation: Annotated[bytes | None, maybe(identity)]
    roles: Annotated[tuple[str, ...], listing(name, 1, 16)]
    may_give: _Names
    sign: _SignKey
    hpke: _HpkeKey
    proof: _Signature

    def binding(self, network: bytes, admitter: bytes) -> bytes:
        """What the admitted key signs, so that nobody admits a key whose holder did not agree to these terms."""
        terms = [network, admitter, self.name, self.organisation, list(self.roles), list(self.may_give), self.hpke]
        return keys.domain("admit") + cbor.encode(terms)


@dataclass(frozen=True, slots=True)
class Rotate(Shape):
    """participant.rotate: new keys under the same id; `proof` is the new key's signature over `binding`."""

    participant: _Id
    sign: _SignKey
    hpke: _HpkeKey
    proof: _Signature

    def binding(self, network: bytes, issuer: bytes) -> bytes:
        """What the new key signs."""
        return keys.domain("rotate") + cbor.encode([network, issuer, self.participant, self.hpke])


@dataclass(frozen=True, slots=True)
class Suspend(Shape):
    """participant.suspend: from here on the participant, and every member of it, signs and reads nothing."""

    participant: _Id


@dataclass(frozen=True, slots=True)
class Open(Shape):
    """subject.open: a patient's timeline begins.

    `write` are the roles that may write unasked, `emergency` whether emergency access is allowed (the standing
    choices); `opening` is the key whose thumbprint is the subject's id, destroyed after it signed `binding` as `proof`.
    """

    kind: Annotated[str, one_of("patient")]
    custodians: Annotated[tuple[bytes, ...], listing(identity, 1, MAX_CUSTODIANS)]
    epochs: Annotated[dict[str, bytes], mapping(raw(keys.HPKE_BYTES), 1, 16)]
    write: _Names
    emergency: Annotated[bool, boolean]
    opening: _SignKey
    proof: _Signature
    to: Annotated[tuple[bytes, ...], listing(identity, 1, MAX_WRAPS)]
    brings: Annotated[tuple[bytes, ...], listing(raw(keys.EPOCH_ID_BYTES), 1, MAX_BROUGHT)]
    body: Annotated[bytes, raw(ID_BYTES)]

    def binding(self, network: bytes, registrar: bytes) -> bytes:
        """What the opening key signs: the network, the registrar and all other fields."""
        others = {field: value for field, value in self.to_map().items() if field != "proof"}
        return keys.domain("open") + cbor.encode([network, registrar, others])


@dataclass(frozen=True, slots=True)
class Give(Shape):
    """grant.give: `grantee` may do `actions` in `compartments` until `until_ms`.

    With `history`, `brings` names the epochs of the compartments up to the current one; without, `epochs`
    carries the next ones, or the grantee could open what came before it in the current epoch. The wraps are the body.
    """

    grantee: _Id
    actions: Annotated[tuple[str, ...], listing(one_of(*ACTIONS), 1, 3)]
    compartments: Annotated[tuple[str, ...], listing(name, 1, 16)]
    history: Annotated[bool, boolean]
    until_ms: Annotated[int | None, maybe(integer(0, MAX_INT))]
    purpose: Annotated[str, name]
    epochs: _Epochs = None
    to: _Recipients = None
    brings: _Brought = None
    body: _BodyHash = None


@dataclass(frozen=True, slots=True)
class Withdraw(Shape):
    """grant.withdraw: every grant of `grantee` ends, and the next epoch of each compartment it could read begins."""

    grantee: _Id
    epochs: _Epochs = None
    to: _Recipients = None
    brings: _Brought = None
    body: _BodyHash = None


@dataclass(frozen=True, slots=True)
class EpochBegin(Shape):
    """epoch.begin: the next epoch of some compartments, its keys wrapped to readers."""

    epochs: Annotated[dict[str, bytes], mapping(raw(keys.HPKE_BYTES), 1, 16)]
    to: _Recipients = None
    brings: _Brought = None
    body: _BodyHash = None


@dataclass(frozen=True, slots=True)
class KeyShare(Shape):
    """key.share: keys of epochs that exist, wrapped to readers that miss them; `part` tells apart several for one."""

    to: Annotated[tuple[bytes, ...], listing(identity, 1, MAX_WRAPS)]
    brings: Annotated[tuple[bytes, ...], listing(raw(keys.EPOCH_ID_BYTES), 1, MAX_BROUGHT)]
    body: Annotated[bytes, raw(ID_BYTES)]
    part: Annotated[int | None, integer(0, 65535)] = None


@dataclass(frozen=True, slots=True)
class Retract(Shape):
    """care.retract: the statement that the header's `replaces` names should not have been written."""

    reason: Annotated[str, one_of("entered-in-error", "wrong-patient", "superseded")]


PAYLOADS: dict[str, type[Shape]] = {
    "participant.admit": Admit,
    "participant.rotate": Rotate,
    "participant.suspend": Suspend,
    "subject.open": Open,
    "grant.give": Give,
    "grant.withdraw": Withdraw,
    "epoch.begin": EpochBegin,
    "key.share": KeyShare,
    "care.retract": Retract,
}
