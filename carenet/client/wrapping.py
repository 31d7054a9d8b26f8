"""Wrapping epoch keys to readers: the parts `to`, `brings` and `body` that a control payload carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carenet.client.directory import Directory
from carenet.encoding.ids import sha256
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.wraps import encode_wraps, wrap
from carenet.statements.payloads import MAX_WRAPS


@dataclass(frozen=True, slots=True)
class Wraps:
    """One body of wraps.

    Attributes:
        to: recipients, at most 500.
        brings: the epochs that each wrap holds.
        body: the wraps, in the order of `to`.
    """

    to: tuple[bytes, ...]
    brings: tuple[bytes, ...]
    body: bytes = field(repr=False)

    @property
    def body_hash(self) -> bytes:
        """What the payload names the body by."""
        return sha256(self.body)


class Wrapper:
    """Wraps keys to proven public keys.

    Args:
        network: the network's id, 32 bytes.
        directory: recipients' keys.
    """

    def __init__(self, network: bytes, directory: Directory) -> None:
        self._network = network
        self._directory = directory

    async def wrap(self, subject: bytes, readers: Iterable[bytes], keys: Mapping[bytes, bytes]) -> Wraps:
        """Wrap the same keys to each of some readers.

        Args:
            subject: whose epochs, 32 bytes.
            readers: participant ids. Suspended ones, and those without a key to wrap to, are passed over; the first 500
                others are served, the rest is for `key.share`.
            keys: private keys by epoch id, in the order in which the payload brings them.

        Raises:
            RefusedError: a reader that the gateway does not know.
            ProofError: a gateway's answer about a reader's keys does not hold.
        """
        private = list(keys.values())
        wraps: dict[bytes, bytes] = {}
        for reader in readers:
            if len(wraps) == MAX_WRAPS:
                break
            recipient = await self._directory.fetch_recipient(reader)
            if recipient.hpke is not None and not recipient.suspended:
                wraps[reader] = wrap(self._network, subject, reader, recipient.hpke, private)
        return Wraps(tuple(wraps), tuple(keys), encode_wraps(list(wraps.values())))


def next_epochs(compartments: Iterable[str]) -> dict[str, EpochKeys]:
    """New keys for some compartments, ordered by name.

    They are made anew for every build: wraps of a build that was refused were seen by its recipients all the same.
    """
    return {name: EpochKeys.generate() for name in sorted(compartments)}


def public_halves(epochs: Mapping[str, EpochKeys]) -> dict[str, bytes]:
    """What a payload's `epochs` carries."""
    return {name: keys.public for name, keys in epochs.items()}


def private_halves(epochs: Mapping[str, EpochKeys]) -> dict[bytes, bytes]:
    """Private keys by epoch id, in the order of the names."""
    return {keys.id: keys.private for keys in epochs.values()}
