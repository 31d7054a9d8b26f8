"""The cti of a resource that an adapter publishes: 16 bytes that come out the same whenever it is read again.

Publishing is repeated after crashes and by hand; with a cti derived from what the sender calls the thing, the fold
answers the repeat with the first entry instead of a second one.
"""

from __future__ import annotations

from carenet.encoding.ids import sha256

CTI_BYTES = 16

_LENGTH_BYTES = 4


def derive_cti(bundle_identity: str, place: str) -> bytes:
    """The cti of one item of a bundle.

    Args:
        bundle_identity: the bundle's identifier, else its Patient's fullUrl (`PatientBundle.identity`).
        place: the item's fullUrl or place in the bundle (`Resource.place`).

    Returns:
        The first 16 bytes of SHA-256 over both, each preceded by its length (4 bytes, big-endian) so that no two
        pairs run into one another.
    """
    return sha256(_prefix(bundle_identity) + _prefix(place))[:CTI_BYTES]


def _prefix(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")  # JSON escapes can spell lone surrogates; they only get hashed here
    return len(raw).to_bytes(_LENGTH_BYTES, "big") + raw
