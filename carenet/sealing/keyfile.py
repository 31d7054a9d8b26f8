"""Key files: an identity at rest, mode 0600, encrypted when there is a passphrase.

A first line says what the file is; then one deterministic CBOR item. Without a passphrase `[1, payload, SHA-256 of the
payload]`, so that a cut or changed file is found out. With one `[2, salt, nonce, ciphertext]`: AES-256-GCM under
scrypt(passphrase, salt) with the first line as associated data. The payload is a map of the identity's fields.
"""

from __future__ import annotations

import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from carenet.encoding import cbor
from carenet.encoding.ids import sha256
from carenet.errors import EncodingError, KeyFileError
from carenet.sealing.identity import Identity

SUFFIX = ".key"
MAX_FILE_BYTES = 1 << 20

_FIRST_LINE = b"carenet key file 1\n"
_PLAIN, _ENCRYPTED = 1, 2
_MODE = 0o600
_SALT_BYTES, _NONCE_BYTES = 16, 12
# About 60 ms and 32 MiB a guess: RFC 7914's interactive parameters, doubled. Fixed, so that no file can ask for more.
_SCRYPT = {"length": 32, "n": 2**15, "r": 8, "p": 1}
_FIELDS = {"name": str, "network": bytes, "id": bytes, "seeds": list, "hpke": list, "tag": bytes, "created": int}


def save_identity(
    identity: Identity, path: Path, passphrase: str | None = None, *, replace_file: bool = False
) -> Identity:
    """Write a key file, whole or not at all.

    Args:
        identity: what to keep.
        path: the file; its folder is made (0700) where it is missing.
        passphrase: encrypts the file; None leaves it to the file mode.
        replace_file: whether an existing file may be replaced, as a rotation does.

    Returns:
        The identity with its path.

    Raises:
        KeyFileError: the file exists and may not be replaced, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, encode_identity(identity, passphrase), replace_file=replace_file)
    except FileExistsError as exc:
        raise KeyFileError(f"{path} exists; a key file is not overwritten") from exc
    except OSError as exc:
        raise KeyFileError(f"{path} cannot be written: {exc.strerror}") from exc
    return replace(identity, path=path)


def load_identity(path: Path, passphrase: str | None = None) -> Identity:
    """Read a key file.

    Args:
        path: the file.
        passphrase: for an encrypted file.

    Raises:
        KeyFileError: missing, readable by others, cut, changed, another format, or another passphrase.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()[: MAX_FILE_BYTES + 1]
    except OSError as exc:
        raise KeyFileError(f"{path} cannot be read: {exc.strerror}") from exc
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"{path} is open to other users; run chmod 600 on it")
    try:
        return replace(decode_identity(data, passphrase), path=path)
    except KeyFileError as exc:
        raise KeyFileError(f"{path}: {exc}") from exc


def encode_identity(identity: Identity, passphrase: str | None) -> bytes:
    """The file's bytes."""
    payload = cbor.encode(
        {
            "name": identity.name,
            "network": identity.network,
            "id": identity.id,
            "seeds": list(identity.seeds),
            "hpke": list(identity.hpke_private),
            "tag": identity.tag_secret,
            "created": identity.created_ms,
        }
    )
    if passphrase is None:
        return _FIRST_LINE + cbor.encode([_PLAIN, payload, sha256(payload)])
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(passphrase, salt).encrypt(nonce, payload, _FIRST_LINE)
    return _FIRST_LINE + cbor.encode([_ENCRYPTED, salt, nonce, sealed])


def decode_identity(data: bytes, passphrase: str | None) -> Identity:
    """The reverse of `encode_identity`.

    Raises:
        KeyFileError: see `load_identity`.
    """
    if not data.startswith(_FIRST_LINE) or len(data) > MAX_FILE_BYTES:
        raise KeyFileError("not a carenet key file")
    try:
        fields = cbor.decode(_open(cbor.decode(data[len(_FIRST_LINE) :]), passphrase))
    except EncodingError as exc:
        raise KeyFileError("the key file is cut or changed") from exc
    return _build(fields)


def _open(items: Any, passphrase: str | None) -> bytes:
    match items:
        case [1, bytes(payload), bytes(check)]:
            if sha256(payload) != check:
                raise KeyFileError("the key file is changed")
            return payload
        case [2, bytes(salt), bytes(nonce), bytes(sealed)] if (len(salt), len(nonce)) == (_SALT_BYTES, _NONCE_BYTES):
            if passphrase is None:
                raise KeyFileError("the key file is encrypted; set CARENET_PASSPHRASE")
            try:
                return _cipher(passphrase, salt).decrypt(nonce, sealed, _FIRST_LINE)
            except InvalidTag as exc:
                raise KeyFileError("another passphrase, or the key file is changed") from exc
        case _:
            raise KeyFileError("a key file of a format that this version does not know")


def _build(fields: Any) -> Identity:
    if not isinstance(fields, dict) or fields.keys() != _FIELDS.keys():
        raise KeyFileError("the key file has other fields than an identity's")
    if any(type(fields[name]) is not kind for name, kind in _FIELDS.items()):
        raise KeyFileError("the key file has a field of another type")
    if not all(isinstance(key, bytes) for key in fields["seeds"] + fields["hpke"]):
        raise KeyFileError("the key file has a key that is not bytes")
    return Identity(
        name=fields["name"],
        network=fields["network"],
        id=fields["id"],
        seeds=tuple(fields["seeds"]),
        hpke_private=tuple(fields["hpke"]),
        tag_secret=fields["tag"],
        created_ms=fields["created"],
    )


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, **_SCRYPT).derive(passphrase.encode()))


def _write(path: Path, data: bytes, *, replace_file: bool) -> None:
    """Write beside, sync, then move into place: a crash leaves the old file or the new one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace_file:
            draft.replace(path)
        else:
            os.link(draft, path)  # fails where the name is taken, unlike a rename
    finally:
        draft.unlink(missing_ok=True)
