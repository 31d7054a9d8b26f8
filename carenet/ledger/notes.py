"""C2SP signed notes: a text with signature lines under it, which humans and other log tooling read.

Opening a note, in order:
1. it is UTF-8 of bounded size without control characters but newline;
2. the text ends in a newline; the last empty line parts it from one to `MAX_SIGNATURES` signature lines;
3. each line is `— <name> <base64 of key id ‖ signature>`, even one by a key that we do not know;
4. lines by unknown keys (another name, another key id, or a signature type that is not ours) are ignored;
5. every line by a known key must verify, or the whole note is refused;
6. at least one line by a known key must be there.

Not done here: what the text says (`carenet.ledger.checkpoint`), and how many lines make a quorum: count
`Note.verified`, which names each key once however often it signed. Names alone say little, since the nodes of one
network sign under one name with a key id each.

Source: C2SP signed-note.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from carenet.encoding.ed25519 import KEY_BYTES, SigningKey, is_valid_signature
from carenet.encoding.ids import sha256
from carenet.errors import NoteError

ED25519 = 0x01  # signature type: plain Ed25519 over the text

MAX_NOTE_BYTES = 1 << 20
MAX_SIGNATURES = 100  # the specification asks for at least 16; each known key's costs one verification

_KEY_ID_BYTES = 4
_MAX_TYPE = 0xFF
_DASH = "— "
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}\Z")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that signs notes under a name.

    Attributes:
        name: not empty, without spaces and `+`.
        type: the signature type, one byte; `ED25519`, or one that this version ignores.
        key: the public key as that type encodes it; 32 bytes for Ed25519.

    Raises:
        NoteError: a name, type or key that no note could carry.
    """

    name: str
    type: int
    key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not 0 <= self.type <= _MAX_TYPE:
            raise NoteError("a signature type is one byte")
        if not self.key or (self.type == ED25519 and len(self.key) != KEY_BYTES):
            raise NoteError("a verifier's key is not empty, and has 32 bytes for Ed25519")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that name this key in a signature line."""
        return key_id(self.name, self.type, self.key)


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature line, verified or not.

    Attributes:
        name: who it says has signed.
        key_id: 4 bytes.
        signature: what follows the key id.
    """

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {_encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note.

    Attributes:
        text: what was signed, with its final newline.
        verified: the keys whose signatures hold, each once, in the order of their lines; at least one.
        lines: all signature lines, those of unknown keys too.
    """

    text: str
    verified: tuple[Verifier, ...]
    lines: tuple[SignatureLine, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names under which verified keys signed."""
        return frozenset(verifier.name for verifier in self.verified)


def key_id(name: str, type_: int, key: bytes) -> bytes:
    """The 4-byte key id: the beginning of SHA-256(name ‖ newline ‖ type ‖ key).

    It is short and can be forged to collide; only the signature proves anything.

    Source: C2SP signed-note, "Signatures".
    """
    return sha256(name.encode() + b"\n" + bytes((type_,)) + key)[:_KEY_ID_BYTES]


def encode_vkey(verifier: Verifier) -> str:
    """Write a verifier key: `<name>+<key id in hex>+<base64 of type ‖ key>`."""
    return f"{verifier.name}+{verifier.key_id.hex()}+{_encode_base64(bytes((verifier.type,)) + verifier.key)}"


def parse_vkey(vkey: str) -> Verifier:
    """Read a verifier key.

    Raises:
        NoteError: malformed, or a key id that is not the key's.
    """
    parts = vkey.split("+", 2)  # the base64 may have a plus of its own
    if len(parts) != 3 or not _KEY_ID_HEX.match(parts[1]):  # noqa: PLR2004 - the three parts of the form
        raise NoteError("a verifier key is <name>+<8 hex digits>+<base64>")
    raw = _decode_base64(parts[2])
    if not raw:
        raise NoteError("a verifier key names its type and key")
    verifier = Verifier(parts[0], raw[0], raw[1:])
    if verifier.key_id.hex() != parts[1]:
        raise NoteError("a verifier key's id is not that of its key")
    return verifier


def sign_note(text: str, name: str, signing_key: SigningKey) -> str:
    """The note with one Ed25519 signature line.

    Args:
        text: ends in a newline; not empty.
        name: the key's name; for a log its origin.
        signing_key: the node's.

    Raises:
        NoteError: a text or name that no note may have.
    """
    _check_text(text)
    verifier = Verifier(name, ED25519, signing_key.public)
    return f"{text}\n{SignatureLine(name, verifier.key_id, signing_key.sign(text.encode()))}"


def open_note(data: bytes | str, verifiers: Sequence[Verifier]) -> Note:
    """Parse a note and verify the lines of the keys that we know.

    Args:
        data: the whole note.
        verifiers: the keys that we know.

    Raises:
        NoteError: malformed, a known key's signature that does not hold, or no signature by a known key.
    """
    text, lines = parse_unverified_note(data)
    known = [verifier for verifier in verifiers if verifier.type in _IS_VALID]
    verified: dict[Verifier, None] = {}
    for line in lines:
        # 4. Ids can be forged to collide, so more than one key may claim a line: it is the one that it verifies under.
        claimants = [each for each in known if (each.name, each.key_id) == (line.name, line.key_id)]
        if not claimants:
            continue
        # 5. A bad line under a good one is an attempt to have the text believed in another's name.
        signers = [each for each in claimants if _IS_VALID[each.type](each, text, line.signature)]
        if not signers:
            raise NoteError(f"the signature of {line.name} (key id {line.key_id.hex()}) does not hold")
        verified.update(dict.fromkeys(signers))
    # 6. A text that nobody signed must not be read at all.
    if not verified:
        raise NoteError("the note has no signature by a known key")
    return Note(text, tuple(verified), tuple(lines))


def parse_unverified_note(data: bytes | str) -> tuple[str, list[SignatureLine]]:
    """The text and the signature lines of a note that nobody has verified.

    Raises:
        NoteError: malformed.
    """
    # 1. Bounded before it is looked at.
    note = _decode_text(data)
    # 2. The text may have empty lines of its own: the last one parts.
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NoteError("a note is a text, an empty line and signature lines, each ended by a newline")
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"a note has at most {MAX_SIGNATURES} signatures")
    # 3. Strict for unknown keys too: two readers must not see two sets of lines.
    return text + "\n", [_parse_line(line) for line in lines]


def _is_valid_ed25519(verifier: Verifier, text: str, signature: bytes) -> bool:
    return is_valid_signature(verifier.key, signature, text.encode())


# One entry a signature type that we verify; the cosignature types 0x04 and 0x06 have their place here.
_IS_VALID: dict[int, Callable[[Verifier, str, bytes], bool]] = {ED25519: _is_valid_ed25519}


def _parse_line(line: str) -> SignatureLine:
    if not line.startswith(_DASH):
        raise NoteError("a signature line starts with an em dash and a space")
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if not separator:
        raise NoteError("a signature line has a name and a signature")
    _check_name(name)
    raw = _decode_base64(encoded)
    if len(raw) <= _KEY_ID_BYTES:
        raise NoteError("a signature line holds a key id of four bytes and a signature")
    return SignatureLine(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def _decode_text(data: bytes | str) -> str:
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_NOTE_BYTES:
            raise NoteError(f"a note has at most {MAX_NOTE_BYTES} bytes")
        note = raw.decode()
    except UnicodeError:
        raise NoteError("a note is UTF-8") from None
    if _CONTROL.search(note):
        raise NoteError("a note has no control characters but newline")
    return note


def _check_text(text: str) -> None:
    if not _decode_text(text).endswith("\n"):
        raise NoteError("a note's text ends in a newline")


def _check_name(name: str) -> None:
    if not name or "+" in name or any(letter.isspace() for letter in name):
        raise NoteError("a key name is not empty and has neither spaces nor +")
    _decode_text(name)


def _encode_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode_base64(text: str) -> bytes:
    """Canonical base64 only: one signature, one line."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not base64") from None
    if _encode_base64(raw) != text:
        raise NoteError("not canonical base64")
    return raw
