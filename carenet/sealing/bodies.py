"""Sealed bodies: a care statement's content, padded and sealed to its compartment's current epoch.

A body is bound to the protected header of its statement, so it opens under no other; the statement names the body by
its SHA-256, so no other body opens under it.
"""

from __future__ import annotations

from hmac import compare_digest

from carenet.encoding.ids import sha256
from carenet.errors import SealError
from carenet.sealing import hpke
from carenet.sealing.padme import pad, unpad
from carenet.statements.keys import compute_epoch_id, domain
from carenet.statements.statement import Statement


def seal_body(protected: bytes, plaintext: bytes, epoch_public: bytes) -> bytes:
    """The body of a statement that is about to be signed.

    Args:
        protected: the statement's protected header, encoded.
        plaintext: the content, in the bytes that came.
        epoch_public: the epoch's public key, checked against the log by the caller; 1,216 bytes.

    Raises:
        SealError: not a public key, or a plaintext beyond the padding's limit.
    """
    return hpke.seal(epoch_public, _info(protected), pad(plaintext))


def open_body(statement: Statement, body: bytes, epoch_private: bytes) -> bytes:
    """The content of a care statement.

    Args:
        statement: parsed; its acceptance and signature are the caller's to check.
        body: what travelled beside it.
        epoch_private: the private key of the epoch that the header names; 96 bytes.

    Raises:
        SealError: another body or epoch than the statement names, or sealed under another header.
    """
    if statement.body_hash is None or not compare_digest(sha256(body), statement.body_hash):
        raise SealError("the body is not the one that the statement names")
    # AES-GCM does not commit to its key: the header says which epoch, and no other key is tried.
    if compute_epoch_id(hpke.compute_public_key(epoch_private)) != statement.header.epoch:
        raise SealError("the key is not that of the epoch that the statement names")
    return unpad(hpke.open_sealed(epoch_private, _info(statement.protected), body))


def _info(protected: bytes) -> bytes:
    return domain("seal") + sha256(protected)
