from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carenet.errors import KeyFileError
from carenet.sealing.identity import create_identity
from carenet.sealing.keyfile import decode_identity, encode_identity, load_identity, save_identity

ALICE = create_identity("alice", bytes(32), 1_700_000_000_000)
PLAIN = encode_identity(ALICE, None)
ENCRYPTED = encode_identity(ALICE, "secret")


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_saved_identity_comes_back(tmp_path: Path, passphrase: str | None):
    path = tmp_path / "keys" / "alice.key"
    saved = save_identity(ALICE.rotated(), path, passphrase)
    assert load_identity(path, passphrase) == saved
    assert saved.path == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["alice.key"]


def test_an_encrypted_file_holds_no_secret():
    for secret in (*ALICE.seeds, *ALICE.hpke_private, ALICE.tag_secret):
        assert secret in PLAIN
        assert secret not in ENCRYPTED


@pytest.mark.parametrize("passphrase", [None, "Secret", ""])
def test_another_passphrase_is_refused(passphrase: str | None):
    with pytest.raises(KeyFileError, match=r"passphrase|PASSPHRASE"):
        decode_identity(ENCRYPTED, passphrase)


@given(st.data())
def test_a_plain_file_with_any_flipped_bit_is_refused(data: st.DataObject):
    changed = bytearray(PLAIN)
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyFileError):
        decode_identity(bytes(changed), None)


@settings(max_examples=15, deadline=None)  # scrypt is slow on purpose
@given(st.data())
def test_an_encrypted_file_with_any_flipped_bit_is_refused(data: st.DataObject):
    changed = bytearray(ENCRYPTED)
    bit = data.draw(st.integers(0, 8 * len(changed) - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeyFileError):
        decode_identity(bytes(changed), "secret")


@given(st.integers(0, len(PLAIN) - 1))
def test_a_cut_file_is_refused(length: int):
    with pytest.raises(KeyFileError):
        decode_identity(PLAIN[:length], None)


def test_an_existing_file_is_replaced_only_on_purpose(tmp_path: Path):
    path = tmp_path / "alice.key"
    save_identity(ALICE, path)
    with pytest.raises(KeyFileError, match="exists"):
        save_identity(create_identity("alice", bytes(32), 2), path)
    rotated = save_identity(ALICE.rotated(), path, replace_file=True)
    assert load_identity(path) == rotated


def test_a_file_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "alice.key"
    save_identity(ALICE, path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_identity(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path):
    with pytest.raises(KeyFileError, match=r"nobody\.key"):
        load_identity(tmp_path / "nobody.key")


def test_messages_name_no_secret():
    with pytest.raises(KeyFileError) as caught:
        decode_identity(PLAIN[:-1] + bytes([PLAIN[-1] ^ 1]), None)
    assert all(secret.hex() not in str(caught.value) for secret in ALICE.seeds)
