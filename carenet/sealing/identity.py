"""An identity: the keys of one participant, used to sign, to open what was wrapped to it, and to recognise its own.

A participant's id is the thumbprint of its first signing key and stays when keys rotate; earlier keys are kept, the
current ones last, since what was wrapped to an earlier HPKE key opens with that one only.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from carenet.encoding import cose
from carenet.encoding.ed25519 import KEY_BYTES, SigningKey
from carenet.encoding.ids import ID_BYTES, encode_id, is_name
from carenet.errors import KeyFileError, SealError
from carenet.sealing import hpke
from carenet.sealing.wraps import match_epochs, unwrap

TAG_SECRET_BYTES = 32


@dataclass(frozen=True)
class Identity:
    """A participant's private side.

    Attributes:
        name: what its holder calls it, a name.
        network: the network's id, 32 bytes.
        id: the participant's id, 32 bytes.
        seeds: Ed25519 seeds, the current one last; never shown.
        hpke_private: HPKE private keys, the current one last; never shown.
        tag_secret: 32 bytes by which this publisher's rebuilt statements are recognised; never shown.
        created_ms: when it was made, ms since 1970.
        path: the key file that it was read from or written to, if any.

    Raises:
        KeyFileError: a field of another length, no key, or an id that is not the first key's.
    """

    name: str
    network: bytes
    id: bytes
    seeds: tuple[bytes, ...] = field(repr=False)
    hpke_private: tuple[bytes, ...] = field(repr=False)
    tag_secret: bytes = field(repr=False)
    created_ms: int
    path: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not is_name(self.name) or len(self.network) != ID_BYTES or len(self.tag_secret) != TAG_SECRET_BYTES:
            raise KeyFileError("an identity has a name, a network id and a tag secret of 32 bytes each")
        if not self.seeds or any(len(seed) != KEY_BYTES for seed in self.seeds):
            raise KeyFileError("an identity has signing seeds of 32 bytes")
        if not self.hpke_private or any(len(key) != hpke.PRIVATE_BYTES for key in self.hpke_private):
            raise KeyFileError(f"an identity has HPKE private keys of {hpke.PRIVATE_BYTES} bytes")
        if cose.compute_thumbprint(SigningKey(self.seeds[0]).public) != self.id:
            raise KeyFileError("an identity's id is the thumbprint of its first signing key")

    def __repr__(self) -> str:
        return f"<Identity {self.name} {encode_id(self.id)[:8]}…, {len(self.seeds)} signing keys>"

    @cached_property
    def sign_key(self) -> SigningKey:
        """The current signing key."""
        return SigningKey(self.seeds[-1])

    @cached_property
    def kid(self) -> bytes:
        """The current signing key's thumbprint, 32 bytes."""
        return cose.compute_thumbprint(self.sign_key.public)

    @cached_property
    def hpke_public(self) -> bytes:
        """The current HPKE public key, 1,216 bytes."""
        return hpke.compute_public_key(self.hpke_private[-1])

    def rotated(self) -> Identity:
        """This identity with new keys behind the old ones. Save it before the network is told of the new keys."""
        seeds = (*self.seeds, secrets.token_bytes(KEY_BYTES))
        return replace(self, seeds=seeds, hpke_private=(*self.hpke_private, hpke.generate_private_key()))

    def earlier(self) -> Identity | None:
        """This identity as it was before its last rotation, or None: for a rotation that the network never saw."""
        if len(self.seeds) == 1:
            return None
        return replace(self, seeds=self.seeds[:-1])

    def open_wrap(self, subject: bytes, wrapped: bytes, brings: tuple[bytes, ...]) -> dict[bytes, bytes]:
        """The epoch keys that a wrap brings to this participant, each checked to be its epoch's.

        Args:
            subject: whose epochs, 32 bytes.
            wrapped: the wrap.
            brings: the epoch ids in the accepted statement that carried it, in order.

        Returns:
            Private keys (96 bytes) by epoch id (16 bytes).

        Raises:
            SealError: not wrapped to any key of this participant, or the keys are not those of the epochs.
        """
        for private in reversed(self.hpke_private):
            try:
                keys = unwrap(self.network, subject, self.id, private, wrapped)
            except SealError:
                continue  # each try has its own `info`, and `match_epochs` compares what opens with the log
            return match_epochs(keys, brings)
        raise SealError(f"the wrap opens with none of {len(self.hpke_private)} keys")


def create_identity(name: str, network: bytes, created_ms: int) -> Identity:
    """New keys under a new id.

    Args:
        name: what its holder calls it, a name.
        network: the network's id, 32 bytes.
        created_ms: now, ms since 1970.
    """
    seed = secrets.token_bytes(KEY_BYTES)
    identity = cose.compute_thumbprint(SigningKey(seed).public)
    tag_secret = secrets.token_bytes(TAG_SECRET_BYTES)
    return Identity(name, network, identity, (seed,), (hpke.generate_private_key(),), tag_secret, created_ms)
