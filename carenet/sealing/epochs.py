"""Epoch keys: one generation of a compartment's key pair, and the keys that a reader holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from carenet.errors import SealError
from carenet.sealing import hpke
from carenet.statements.keys import compute_epoch_id


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """A key pair of one compartment.

    Attributes:
        private: 96 bytes, never shown.
        public: 1,216 bytes, as the log carries it.
        id: 16 bytes that name the epoch.
    """

    private: bytes = field(repr=False)
    public: bytes = field(repr=False)
    id: bytes

    @classmethod
    def generate(cls) -> EpochKeys:
        """A new pair."""
        return cls.of_private(hpke.generate_private_key())

    @classmethod
    def of_private(cls, private: bytes) -> EpochKeys:
        """The pair of a private key.

        Raises:
            SealError: not 96 bytes.
        """
        public = hpke.compute_public_key(private)
        return cls(private, public, compute_epoch_id(public))


class Keyring:
    """The epochs that a reader can open, by id. Only keys that fit their epoch's id get in."""

    def __init__(self) -> None:
        self._private: dict[bytes, bytes] = {}

    def add(self, keys: dict[bytes, bytes]) -> None:
        """Take in private keys by epoch id, as `wraps.match_epochs` or `Identity.open_wrap` return them.

        Raises:
            SealError: a key that is not its epoch's; none is taken in.
        """
        fresh = {epoch: private for epoch, private in keys.items() if epoch not in self._private}
        for epoch, private in fresh.items():
            if EpochKeys.of_private(private).id != epoch:
                raise SealError("a key is not that of the epoch it is filed under")
        self._private |= fresh

    def __contains__(self, epoch: object) -> bool:
        return epoch in self._private

    def __len__(self) -> int:
        return len(self._private)

    def private(self, epoch: bytes) -> bytes:
        """An epoch's private key.

        Raises:
            SealError: this reader does not hold it.
        """
        try:
            return self._private[epoch]
        except KeyError:
            raise SealError(f"no key of epoch {epoch.hex()}") from None

    def __repr__(self) -> str:
        return f"<Keyring of {len(self)} epochs>"
