from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carenet.encoding.cbor import MAX_INT
from carenet.encoding.ids import encode_id
from carenet.errors import NoteError
from carenet.ledger.checkpoint import Checkpoint, origin_of, parse_checkpoint
from carenet.ledger.hashes import EMPTY_ROOT

ORIGIN = origin_of(bytes(32), 3)
ROOT = base64.b64encode(b"r" * 32).decode()
TEXT = f"{ORIGIN}\n700\n{ROOT}\n"


def test_a_checkpoint_is_three_lines() -> None:
    checkpoint = Checkpoint(ORIGIN, 700, b"r" * 32)
    assert checkpoint.text() == TEXT
    assert parse_checkpoint(TEXT) == checkpoint


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60),
    st.integers(1, MAX_INT),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_survives_its_text(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(checkpoint.text()) == checkpoint


def test_the_empty_log_has_the_empty_root() -> None:
    assert parse_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT).text()).size == 0
    with pytest.raises(NoteError, match="size 0"):
        parse_checkpoint(TEXT.replace("700", "0"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "extension\n",
        "\n" + TEXT,
        f"\n700\n{ROOT}\n",
        f"{ORIGIN}\n{ROOT}\n",
        TEXT.replace("700", "0700"),
        TEXT.replace("700", "+700"),
        TEXT.replace("700", "-700"),
        TEXT.replace("700", " 700"),
        TEXT.replace("700", "7_00"),
        TEXT.replace("700", "７００"),
        TEXT.replace("700", "7e2"),
        TEXT.replace("700", ""),
        TEXT.replace("700", str(MAX_INT + 1)),
        TEXT.replace("700", "9" * 5000),
        TEXT.replace(ROOT, ROOT[:-1]),
        TEXT.replace(ROOT, ROOT[:-2] + "J="),  # the same root with other trailing bits
        TEXT.replace(ROOT, ROOT + "="),
        TEXT.replace(ROOT, base64.b64encode(bytes(31)).decode()),
        TEXT.replace(ROOT, base64.b64encode(bytes(33)).decode()),
        TEXT.replace(ROOT, "é" * 44),
        TEXT.replace(ORIGIN, "o" * 256),
        TEXT.replace(ORIGIN, "tab\there"),
        TEXT.replace(ORIGIN, "\ud800"),
        TEXT.replace("\n", "\r\n"),
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text)


def test_the_message_names_the_line() -> None:
    with pytest.raises(NoteError, match="three lines"):
        parse_checkpoint(TEXT + "extension\n")
    with pytest.raises(NoteError, match="size is decimal"):
        parse_checkpoint(TEXT.replace("700", "0700"))
    with pytest.raises(NoteError, match="origin"):
        parse_checkpoint(TEXT.replace(ORIGIN, ""))
    with pytest.raises(NoteError, match="canonical base64"):
        parse_checkpoint(TEXT.replace(ROOT, ROOT[:-2] + "J="))


@given(st.text(max_size=100))
def test_arbitrary_text_raises_nothing_but_our_own_error(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, bytes(32)), ("a\nb", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 1, bytes(31)), ("a", 0, bytes(32))],
)
def test_a_checkpoint_that_cannot_be_is_misuse(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        Checkpoint(origin, size, root)


def test_an_origin_names_network_and_partition() -> None:
    assert origin_of(b"n" * 32, 12) == encode_id(b"n" * 32) + "/12"
    with pytest.raises(ValueError, match="partition"):
        origin_of(bytes(32), -1)
    with pytest.raises(ValueError, match="32 bytes"):
        origin_of(bytes(31), 0)
