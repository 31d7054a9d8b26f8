"""Wraps: private epoch keys, sealed to one reader each; a statement's body holds one wrap for each recipient.

The body is a deterministic CBOR array of wraps in the order of the payload's `to`; each wrap holds the 96-byte private
keys in the order of the payload's `brings`. A wrap is bound to network, subject and recipient. A reader believes an
unwrapped key only when its public half is the one that the log names.
"""

from __future__ import annotations

from collections.abc import Sequence

from carenet.encoding import cbor
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, SealError
from carenet.sealing import hpke
from carenet.sealing.padme import pad, unpad
from carenet.statements.keys import compute_epoch_id, domain


def wrap(network: bytes, subject: bytes, recipient: bytes, recipient_public: bytes, private_keys: list[bytes]) -> bytes:
    """Seal epoch keys to one reader.

    Args:
        network: the network's id, 32 bytes.
        subject: whose epochs, 32 bytes.
        recipient: the reader's participant id, 32 bytes.
        recipient_public: its HPKE public key, checked against the log by the caller; 1,216 bytes.
        private_keys: 96 bytes each.

    Raises:
        SealError: not a public key.
    """
    info = _info(network, subject, recipient, recipient_public)
    return hpke.seal(recipient_public, info, pad(b"".join(private_keys)))


def unwrap(network: bytes, subject: bytes, recipient: bytes, recipient_private: bytes, wrapped: bytes) -> list[bytes]:
    """The private keys inside, not yet compared with the log.

    Raises:
        SealError: for another network, subject or recipient, changed, or not a whole number of keys.
    """
    info = _info(network, subject, recipient, hpke.compute_public_key(recipient_private))
    keys = unpad(hpke.open_sealed(recipient_private, info, wrapped))
    if not keys or len(keys) % hpke.PRIVATE_BYTES:
        raise SealError(f"a wrap holds keys of {hpke.PRIVATE_BYTES} bytes")
    return [keys[at : at + hpke.PRIVATE_BYTES] for at in range(0, len(keys), hpke.PRIVATE_BYTES)]


def match_epochs(private_keys: Sequence[bytes], brings: Sequence[bytes]) -> dict[bytes, bytes]:
    """Private keys by epoch id, each checked to be the one that the log names.

    Args:
        private_keys: as `unwrap` returned them.
        brings: the epoch ids of the accepted statement's payload, 16 bytes each.

    Raises:
        SealError: another number of keys, or one whose public half is not that epoch's.
    """
    if len(private_keys) != len(brings):
        raise SealError(f"a wrap holds {len(private_keys)} keys where its statement brings {len(brings)}")
    for private, epoch in zip(private_keys, brings, strict=True):
        if compute_epoch_id(hpke.compute_public_key(private)) != epoch:
            raise SealError("an unwrapped key is not that of the epoch in the log")
    return dict(zip(brings, private_keys, strict=True))


def encode_wraps(wraps: Sequence[bytes]) -> bytes:
    """The body of a statement with wraps, in the order of its payload's `to`."""
    return cbor.encode(list(wraps))


def decode_wraps(body: bytes) -> list[bytes]:
    """The wraps in a body.

    Raises:
        EncodingError: not a deterministic CBOR array of byte strings.
    """
    wraps = cbor.decode(body)
    if not isinstance(wraps, list) or not all(isinstance(each, bytes) for each in wraps):
        raise EncodingError("a body with wraps is an array of byte strings")
    return wraps


def _info(network: bytes, subject: bytes, recipient: bytes, recipient_public: bytes) -> bytes:
    return domain("wrap") + cbor.encode([network, subject, recipient, sha256(recipient_public)])
