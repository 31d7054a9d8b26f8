from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding.ed25519 import SigningKey
from carenet.errors import NoteError
from carenet.ledger.notes import (
    ED25519,
    MAX_SIGNATURES,
    SignatureLine,
    Verifier,
    encode_vkey,
    key_id,
    open_note,
    parse_unverified_note,
    parse_vkey,
    sign_note,
)

NAME = "example.org/log"
TEXT = "one line\n\nanother after an empty one\n"
KEY, OTHER_KEY = SigningKey(bytes(32)), SigningKey(b"o" * 32)
KNOWN, OTHER = Verifier(NAME, ED25519, KEY.public), Verifier(NAME, ED25519, OTHER_KEY.public)
NOTE = sign_note(TEXT, NAME, KEY)
LINE = NOTE.removeprefix(TEXT + "\n")
OTHER_LINE = sign_note(TEXT, NAME, OTHER_KEY).removeprefix(TEXT + "\n")


def break_line(line: str) -> str:
    """The same line with a signature that is of the right form and wrong."""
    head, encoded = line.rstrip("\n").rsplit(" ", 1)
    raw = bytearray(base64.b64decode(encoded))
    raw[-1] ^= 1
    return f"{head} {base64.b64encode(raw).decode()}\n"


def test_a_signed_note_opens_as_text_and_as_bytes() -> None:
    for data in (NOTE, NOTE.encode()):
        note = open_note(data, [OTHER, KNOWN])
        assert note.text == TEXT
        assert note.verified == (KNOWN,)
        assert note.names == {NAME}
        assert "".join(map(str, note.lines)) == LINE


def test_the_example_of_the_specification_parses() -> None:
    text, lines = parse_unverified_note(
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
        "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaq"
        "P3ZekRwNtIc=\n"
    )
    assert text.endswith("\n\ned è subito sera.\n")
    assert [(line.name, line.key_id.hex()) for line in lines] == [("quasimodo.example/salvatore", "367ba04b")]


def test_signatures_by_unknown_keys_are_ignored() -> None:
    alien = str(SignatureLine("somebody.else", b"1234", b"x" * 2420))
    same_name = str(SignatureLine(NAME, b"1234", b"x" * 64))
    same_id = str(SignatureLine("somebody.else", KNOWN.key_id, b"x" * 64))
    note = open_note(TEXT + "\n" + alien + same_name + LINE + same_id, [KNOWN])
    assert note.verified == (KNOWN,)
    assert len(note.lines) == 4


def test_a_known_keys_bad_signature_refuses_the_whole_note() -> None:
    assert open_note(NOTE + break_line(OTHER_LINE), [KNOWN]).verified == (KNOWN,)
    with pytest.raises(NoteError, match="does not hold"):
        open_note(NOTE + break_line(OTHER_LINE), [KNOWN, OTHER])
    with pytest.raises(NoteError, match="does not hold"):
        open_note(NOTE + break_line(LINE), [KNOWN])
    with pytest.raises(NoteError, match="does not hold"):
        open_note(NOTE.replace("one line", "two lines"), [KNOWN])


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    for verifiers in ([], [OTHER], [Verifier("example.org/other", ED25519, KEY.public)]):
        with pytest.raises(NoteError, match="no signature by a known key"):
            open_note(NOTE, verifiers)


def test_a_key_of_a_type_that_we_do_not_verify_is_an_unknown_key() -> None:
    future = Verifier(NAME, 0x06, b"k" * 1312)
    line = str(SignatureLine(NAME, future.key_id, b"x" * 2428))
    assert open_note(NOTE + line, [future, KNOWN]).verified == (KNOWN,)
    with pytest.raises(NoteError, match="no signature by a known key"):
        open_note(TEXT + "\n" + line, [future])


def test_a_key_counts_once_however_often_it_signed() -> None:
    assert open_note(NOTE + LINE + LINE + OTHER_LINE, [KNOWN, OTHER]).verified == (KNOWN, OTHER)


def test_keys_whose_ids_collide_each_verify_their_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # A collision takes minutes to forge; here every id is the same.
    monkeypatch.setattr("carenet.ledger.notes.key_id", lambda *_: b"same")
    note = sign_note(TEXT, NAME, KEY)
    line = sign_note(TEXT, NAME, OTHER_KEY).removeprefix(TEXT + "\n")
    assert open_note(note + line, [OTHER, KNOWN]).verified == (KNOWN, OTHER)
    with pytest.raises(NoteError, match="does not hold"):
        open_note(note + break_line(line), [OTHER, KNOWN])


def test_sixteen_signatures_are_accepted_and_a_flood_is_not() -> None:
    keys = [SigningKey(bytes((n,)) * 32) for n in range(16)]
    lines = [sign_note(TEXT, NAME, key).removeprefix(TEXT + "\n") for key in keys]
    verifiers = [Verifier(NAME, ED25519, key.public) for key in keys]
    assert open_note(TEXT + "\n" + "".join(lines), verifiers).verified == tuple(verifiers)
    assert open_note(TEXT + "\n" + LINE * MAX_SIGNATURES, [KNOWN])
    with pytest.raises(NoteError, match="at most"):
        open_note(TEXT + "\n" + LINE * (MAX_SIGNATURES + 1), [KNOWN])
    with pytest.raises(NoteError, match="at most"):
        open_note("x" * (1 << 20) + NOTE, [KNOWN])


@pytest.mark.parametrize(
    "data",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT + "\n",
        TEXT + LINE,  # no empty line
        NOTE[:-1],  # the last newline
        NOTE + "\n",
        NOTE + "\n" + LINE[:-1],
        NOTE + "trailing\n",
        NOTE.replace("one line", "one\tline"),
        NOTE.replace("one line", "one\rline"),
        NOTE.replace("one line", "one\0line"),
        NOTE.replace("one line", "one \ud800"),
        NOTE.replace("—", "-"),
        NOTE.replace("— ", "—"),
        NOTE.replace("— ", "—  "),
        NOTE + LINE.replace(NAME, ""),
        NOTE + LINE.replace(NAME, "a+b"),
        NOTE + LINE.replace(NAME, "a\u00a0b"),
        NOTE + "— somebody\n",
        NOTE + "— somebody \n",
        NOTE + "— somebody AAAA\n",
        NOTE + "— somebody AAAAAA==\n",  # four bytes: a key id and nothing
        NOTE + "— somebody AAAAAAA\n",  # padding left out
        NOTE + "— somebody AAAAAAB=\n",  # bits that say nothing
        NOTE + "— somebody AAAAAAA= x\n",
        NOTE + "— somebody AAAA-AA=\n",
        NOTE.encode()[:-10] + b"\xff" + NOTE.encode()[-10:],
    ],
)
def test_a_malformed_note_is_refused(data: bytes | str) -> None:
    with pytest.raises(NoteError):
        open_note(data, [KNOWN])


@given(st.binary(max_size=120) | st.text(max_size=60).map(lambda text: f"{text}\n\n{LINE}"))
def test_arbitrary_data_raises_nothing_but_our_own_error(data: bytes | str) -> None:
    with pytest.raises(NoteError):
        open_note(data, [KNOWN])


@given(st.integers(0, 8 * len(NOTE.encode()) - 1))
def test_a_note_with_any_bit_turned_is_refused(bit: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_note(bytes(raw), [KNOWN])


@pytest.mark.parametrize("text", ["", "no newline", "a tab\t\n", "\ud800\n"])
def test_a_text_that_no_note_may_have_is_not_signed(text: str) -> None:
    with pytest.raises(NoteError):
        sign_note(text, NAME, KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x01b", "\ud800"])
def test_a_name_that_no_line_could_carry_is_refused(name: str) -> None:
    with pytest.raises(NoteError):
        sign_note(TEXT, name, KEY)
    with pytest.raises(NoteError):
        Verifier(name, ED25519, KEY.public)


@pytest.mark.parametrize(("type_", "key"), [(ED25519, bytes(31)), (ED25519, b""), (2, b""), (256, b"k"), (-1, b"k")])
def test_a_verifier_that_cannot_be_is_refused(type_: int, key: bytes) -> None:
    with pytest.raises(NoteError):
        Verifier(NAME, type_, key)


@given(st.binary(min_size=32, max_size=32), st.sampled_from([ED25519, 0x04, 0x06, 0xFF]))
def test_a_verifier_key_survives_its_text(key: bytes, type_: int) -> None:
    verifier = Verifier(NAME, type_, key)
    assert parse_vkey(encode_vkey(verifier)) == verifier
    assert verifier.key_id == key_id(NAME, type_, key)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        "name+00000000+",
        "name+00000000+AQ==",
        encode_vkey(KNOWN)[:-1],
        encode_vkey(KNOWN) + "\n",
        encode_vkey(KNOWN).replace("example", "elsewhere"),  # the id is of another name
        encode_vkey(KNOWN).replace(KNOWN.key_id.hex(), KNOWN.key_id.hex().upper()),
        encode_vkey(KNOWN).replace(KNOWN.key_id.hex(), "00000000"),
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    assert KNOWN.key_id.hex() != KNOWN.key_id.hex().upper()
    with pytest.raises(NoteError):
        parse_vkey(vkey)
