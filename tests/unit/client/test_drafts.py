from __future__ import annotations

from typing import Any

import orjson
import pytest

from carenet.client.drafts import Care, Control, build_care, build_control, draft_resource, restore_care
from carenet.client.subjects import Epoch
from carenet.encoding.ids import sha256
from carenet.errors import ResourceError, SealError
from carenet.fhir.resources import MAX_BODY_BYTES
from carenet.sealing.bodies import open_body
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import create_identity
from carenet.statements.payloads import Retract
from carenet.statements.statement import parse_statement

ALICE = create_identity("alice", b"\1" * 32, 1)
PATIENT = b"\2" * 32
KEYS = EpochKeys.generate()
EPOCH = Epoch("clinical", KEYS.id, KEYS.public, 0)
RAW = b'{ "resourceType": "Observation", "valueQuantity": {"value": 1.50} }'


def test_a_resource_is_drafted_in_the_bytes_that_came():
    for resource in (RAW, RAW.decode()):
        draft = draft_resource(PATIENT, resource)
        assert (draft.type, draft.compartment, draft.plaintext) == ("care.observation", "clinical", RAW)
    assert len(draft.cti) == 16
    assert draft_resource(PATIENT, RAW).cti != draft.cti


def test_a_dict_is_written_as_compact_json():
    resource = {"resourceType": "AllergyIntolerance", "code": {"text": "nüsse"}}
    draft = draft_resource(PATIENT, resource, bytes(16), b"\3" * 32, "identity")
    assert orjson.loads(draft.plaintext) == resource
    assert (draft.cti, draft.replaces, draft.compartment) == (bytes(16), b"\3" * 32, "identity")


@pytest.mark.parametrize(
    "resource",
    [
        b"",
        b"{",
        b"\xff{}",
        "\ud800",
        {"resourceType": {1}},
        b"[]",
        b'{"resourceType": 1}',
        b'{"resourceType": "Nonsense"}',
        {"resourceType": "Observation", "note": "x" * MAX_BODY_BYTES},
    ],
    ids=["empty", "cut", "not-utf-8", "surrogate", "not-json", "array", "no-type", "unknown-type", "too-large"],
)
def test_what_is_no_fhir_resource_is_refused(resource: Any):
    with pytest.raises(ResourceError):
        draft_resource(PATIENT, resource)


def test_a_cti_of_another_length_is_a_programmers_error():
    with pytest.raises(ValueError, match="16 bytes"):
        draft_resource(PATIENT, RAW, bytes(15))


def test_care_is_sealed_signed_and_kept_for_another_build():
    draft = draft_resource(PATIENT, RAW, bytes(16), b"\3" * 32)
    statement, letter = build_care(draft, EPOCH, ALICE, 1_700_000_000)
    header = statement.header
    assert statement.is_signed_by(ALICE.sign_key.public)
    assert (header.iat_s, header.epoch, header.replaces, header.cti) == (1_700_000_000, KEYS.id, b"\3" * 32, bytes(16))
    assert letter.body is not None
    assert open_body(statement, letter.body, KEYS.private) == RAW
    assert RAW not in letter.statement + letter.body + (letter.plaintext or b"")
    assert restore_care(letter, ALICE) == draft


def test_a_rebuilt_event_has_another_digest_and_the_same_tag():
    draft = draft_resource(PATIENT, RAW)
    one, two = (build_care(draft, EPOCH, ALICE, now_s)[0] for now_s in (1, 2))
    assert one.digest != two.digest
    assert one.header.tag == two.header.tag
    other = build_care(draft_resource(PATIENT, RAW + b" ", draft.cti), EPOCH, ALICE, 1)[0]
    assert other.header.tag != one.header.tag


def test_what_was_kept_opens_after_a_rotation_and_for_nobody_else():
    draft = draft_resource(PATIENT, RAW)
    letter = build_care(draft, EPOCH, ALICE, 1)[1]
    assert restore_care(letter, ALICE.rotated()) == draft
    with pytest.raises(SealError):
        restore_care(letter, create_identity("bob", b"\1" * 32, 1))


def test_a_control_statement_carries_its_payload_inline():
    draft = Control(PATIENT, "care.retract", Retract("wrong-patient"), compartment="clinical", replaces=b"\3" * 32)
    statement, letter = build_control(draft, ALICE, 5)
    assert statement.control == {"reason": "wrong-patient"}
    assert (statement.header.compartment, statement.header.epoch, statement.header.trigger) == ("clinical", None, None)
    assert (letter.body, letter.plaintext) == (None, None)
    assert restore_care(letter, ALICE) is None


def test_a_draft_never_shows_its_content():
    draft: Care = draft_resource(PATIENT, RAW)
    letter = build_care(draft, EPOCH, ALICE, 1)[1]
    assert "Observation" not in repr(draft) + repr(letter)
    assert parse_statement(letter.statement).payload == sha256(letter.body or b"")
