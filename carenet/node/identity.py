"""The node's own keys: Ed25519 for checkpoint notes and receipts, ML-DSA-44 for cosignatures that outlive it.

The file: a first line, then deterministic CBOR `[1, payload, SHA-256 of the payload]`, or with a passphrase
`[2, salt, nonce, ciphertext]`: AES-256-GCM under scrypt, the first line as associated data. The payload is
`[Ed25519 seed, ML-DSA-44 seed]`. It is a file of its own form and not one of `carenet.sealing`, which no server may
import; nothing of a patient is ever sealed to a node.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from carenet.encoding import cbor, cose
from carenet.encoding.ed25519 import KEY_BYTES, SigningKey
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, KeyFileError
from carenet.statements.genesis import Genesis, NodeKey

_FIRST_LINE = b"carenet node key file 1\n"
_PLAIN, _ENCRYPTED = 1, 2
_MLDSA_SEED_BYTES = 32
_SALT_BYTES, _NONCE_BYTES = 16, 12
_MAX_FILE_BYTES = 4096
_SCRYPT = {"length": 32, "n": 2**15, "r": 8, "p": 1}  # as for key files of people: about 60 ms a guess


@dataclass(frozen=True)
class NodeKeys:
    """A node's private keys.

    Attributes:
        sign_seed: of the Ed25519 key, 32 bytes.
        mldsa_seed: of the ML-DSA-44 key, 32 bytes.
    """

    sign_seed: bytes = field(repr=False)
    mldsa_seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.sign_seed) != KEY_BYTES or len(self.mldsa_seed) != _MLDSA_SEED_BYTES:
            raise ValueError("a node's seeds have 32 bytes each")

    @cached_property
    def sign_key(self) -> SigningKey:
        """The Ed25519 key that signs notes and receipts."""
        return SigningKey(self.sign_seed)

    @property
    def sign_public(self) -> bytes:
        """32 bytes."""
        return self.sign_key.public

    @cached_property
    def mldsa_public(self) -> bytes:
        """1,312 bytes."""
        return bytes(mldsa.MLDSA44PrivateKey.from_seed_bytes(self.mldsa_seed).public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        """The node's participant id: its Ed25519 key's thumbprint, 32 bytes."""
        return cose.compute_thumbprint(self.sign_public)

    def find_in(self, genesis: Genesis) -> NodeKey:
        """This node's entry in a genesis file.

        Raises:
            KeyFileError: the genesis names no node with these keys.
        """
        for node in genesis.nodes:
            if (node.sign, node.mldsa) == (self.sign_public, self.mldsa_public):
                return node
        raise KeyFileError("the genesis names no node with these keys: node.key is another network's")


def create_node_keys() -> NodeKeys:
    """New random keys."""
    return NodeKeys(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_MLDSA_SEED_BYTES))


def save_node_keys(keys: NodeKeys, path: Path, passphrase: str | None = None) -> None:
    """Write the key file, whole or not at all; mode 0600.

    Args:
        keys: what to keep.
        path: the file; its folder is made where it is missing.
        passphrase: encrypts the file; None leaves it to the file mode.

    Raises:
        KeyFileError: the file exists, or cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_node_keys(keys, passphrase))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails where the file exists, as a rename would not
        finally:
            draft.unlink()
    except FileExistsError as exc:
        raise KeyFileError(f"{path} exists; a key file is not overwritten") from exc
    except OSError as exc:
        raise KeyFileError(f"{path} cannot be written: {exc.strerror}") from exc


def load_node_keys(path: Path, passphrase: str | None = None) -> NodeKeys:
    """Read the key file.

    Raises:
        KeyFileError: missing, open to other users, cut, changed, another format, or another passphrase.
    """
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES)
    except OSError as exc:
        raise KeyFileError(f"{path} cannot be read: {exc.strerror}") from exc
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"{path} is open to other users; run chmod 600 on it")
    try:
        return decode_node_keys(data, passphrase)
    except KeyFileError as exc:
        raise KeyFileError(f"{path}: {exc}") from exc


def encode_node_keys(keys: NodeKeys, passphrase: str | None) -> bytes:
    """The file's bytes."""
    payload = cbor.encode([keys.sign_seed, keys.mldsa_seed])
    if passphrase is None:
        return _FIRST_LINE + cbor.encode([_PLAIN, payload, sha256(payload)])
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(passphrase, salt).encrypt(nonce, payload, _FIRST_LINE)
    return _FIRST_LINE + cbor.encode([_ENCRYPTED, salt, nonce, sealed])


def decode_node_keys(data: bytes, passphrase: str | None) -> NodeKeys:
    """The reverse of `encode_node_keys`.

    Raises:
        KeyFileError: see `load_node_keys`.
    """
    if not data.startswith(_FIRST_LINE):
        raise KeyFileError("not a carenet node key file")
    try:
        match cbor.decode(_open(cbor.decode(data[len(_FIRST_LINE) :]), passphrase)):
            case [bytes(sign_seed), bytes(mldsa_seed)]:
                return NodeKeys(sign_seed, mldsa_seed)
    except (EncodingError, ValueError) as exc:
        raise KeyFileError("the node key file is cut or changed") from exc
    raise KeyFileError("the node key file holds something else than two keys")


def _open(items: Any, passphrase: str | None) -> bytes:
    match items:
        case [1, bytes(payload), bytes(checksum)] if checksum == sha256(payload):
            return payload
        case [2, bytes(salt), bytes(nonce), bytes(sealed)] if (len(salt), len(nonce)) == (_SALT_BYTES, _NONCE_BYTES):
            if passphrase is None:
                raise KeyFileError("the node key file is encrypted: set CARENET_PASSPHRASE")
            try:
                return _cipher(passphrase, salt).decrypt(nonce, sealed, _FIRST_LINE)
            except InvalidTag as exc:
                raise KeyFileError("another passphrase, or the node key file was changed") from exc
    raise KeyFileError("the node key file is cut or changed")


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, **_SCRYPT).derive(passphrase.encode()))
