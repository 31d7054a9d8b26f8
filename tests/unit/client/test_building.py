from __future__ import annotations

import pytest

from carenet.client.building import BATCH_SIZE, Signing, build_care_batch
from carenet.client.drafts import Care, build_care, draft_resource, restore_care
from carenet.client.subjects import Epoch
from carenet.encoding.ids import sha256
from carenet.errors import SealError
from carenet.sealing.bodies import open_body
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import create_identity
from carenet.sealing.padme import MAX_PLAINTEXT_BYTES
from carenet.statements.header import ED25519_OVER_BATCH
from carenet.statements.statement import parse_statement

ALICE = create_identity("alice", b"\1" * 32, 1)
KEYS = [EpochKeys.generate(), EpochKeys.generate()]
EPOCHS = [Epoch("clinical", keys.id, keys.public, 0) for keys in KEYS]
NOW_S = 1_790_000_000


def drafts(count: int) -> list[Care]:
    """Of two patients and two types, every third one a correction."""
    resources = [b'{"resourceType":"Observation","n":%d}', b'{"resourceType":"Condition","n":%d}']
    return [
        draft_resource(
            bytes([number % 2]) * 32,
            resources[number // 2 % 2] % number,
            number.to_bytes(16, "big"),
            bytes(32) if number % 3 == 0 else None,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("signing", ["single", "batch"])
def test_each_of_many_is_what_it_would_be_alone(signing: Signing) -> None:
    made = drafts(7)
    letters = build_care_batch(made, [EPOCHS[number % 2] for number in range(7)], ALICE, NOW_S, signing)
    for number, (draft, letter) in enumerate(zip(made, letters, strict=True)):
        statement = parse_statement(letter.statement)
        alone = build_care(draft, EPOCHS[number % 2], ALICE, NOW_S)[0]
        assert (statement.header.alg == ED25519_OVER_BATCH) == (signing == "batch") == (statement.place is not None)
        if signing == "single":
            assert statement.protected == alone.protected
        assert statement.header.tag == alone.header.tag
        assert statement.is_signed_by(ALICE.sign_key.public)
        assert letter.body is not None
        assert statement.payload == sha256(letter.body)
        assert open_body(statement, letter.body, KEYS[number % 2].private) == draft.plaintext
        assert (letter.subject, letter.cti) == (draft.subject, draft.cti)
        assert restore_care(letter, ALICE) == draft
        assert draft.plaintext not in letter.statement + letter.body + (letter.plaintext or b"")


def test_more_than_a_batch_holds_is_several_batches() -> None:
    made = drafts(1) * (2 * BATCH_SIZE + 6)
    letters = build_care_batch(made, EPOCHS[:1] * len(made), ALICE, NOW_S, "batch")
    places = [parse_statement(letter.statement).place for letter in letters]
    assert [place.size for place in places if place is not None] == [BATCH_SIZE] * 2 * BATCH_SIZE + [6] * 6


def test_none_are_none() -> None:
    assert build_care_batch([], [], ALICE, NOW_S, "batch") == build_care_batch([], [], ALICE, NOW_S) == []


def test_an_epoch_belongs_to_each_draft() -> None:
    with pytest.raises(ValueError, match="zip"):
        build_care_batch(drafts(2), EPOCHS[:1], ALICE, NOW_S)


def test_what_cannot_be_padded_is_refused() -> None:
    too_long = Care(bytes(32), "care.observation", "clinical", bytes(MAX_PLAINTEXT_BYTES + 1), bytes(16))
    with pytest.raises(SealError):
        build_care_batch([too_long], EPOCHS[:1], ALICE, NOW_S)
