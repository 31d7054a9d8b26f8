"""Padding by which a ciphertext's length tells little: four bytes of length, the content, zeros up to Padmé's length.

At most 12 % more, and only O(log log L) bits of the length leak.

Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019.
"""

from __future__ import annotations

from carenet.errors import SealError

_LENGTH_BYTES = 4
MAX_PLAINTEXT_BYTES = 1 << 24  # far above any record; keeps the length within its four bytes


def padded_length(length: int) -> int:
    """The least allowed length that is not below `length` (bytes): its lowest E − S bits are zero."""
    if length < 2:  # noqa: PLR2004 - log2 of the logarithm needs at least 2
        return length
    exponent = length.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (length + mask) & ~mask


def pad(plaintext: bytes) -> bytes:
    """Length, plaintext and zeros.

    Raises:
        SealError: more than `MAX_PLAINTEXT_BYTES`.
    """
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise SealError(f"a plaintext has at most {MAX_PLAINTEXT_BYTES} bytes")
    framed = len(plaintext).to_bytes(_LENGTH_BYTES, "big") + plaintext
    return framed.ljust(padded_length(len(framed)), b"\0")


def unpad(padded: bytes) -> bytes:
    """The plaintext that `pad` would have padded to exactly these bytes.

    Raises:
        SealError: there is none.
    """
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    plaintext = padded[_LENGTH_BYTES : _LENGTH_BYTES + length]
    if len(padded) < _LENGTH_BYTES or len(plaintext) != length or pad(plaintext) != padded:
        raise SealError("the padding is not Padmé's for the length inside")
    return plaintext
