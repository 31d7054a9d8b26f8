from __future__ import annotations

from typing import Any

import pytest

from carenet.cli.lines import NameBook, describe_statement
from carenet.cli.names import Named
from carenet.encoding.ids import encode_id, sha256
from carenet.statements.genesis import Genesis
from carenet.statements.payloads import Retract, Rotate, Suspend
from carenet.statements.statement import Statement, parse_statement
from tests.support.actors import actor, header_of, hpke_public, sign
from tests.support.chronicle import Chronicle, genesis_of


@pytest.fixture
def genesis() -> Genesis:
    return genesis_of("test.events", 1)


@pytest.fixture
def chronicle(genesis: Genesis) -> Chronicle:
    return Chronicle(genesis)


@pytest.fixture
def book(chronicle: Chronicle) -> NameBook:
    book = NameBook()
    book.learn([Named(each.name, each.id) for each in (chronicle.hospital, chronicle.clinician)])
    return book


def _control(signer: Any, event_type: str, payload: Any) -> Statement:
    return sign(signer, header_of(signer, type=event_type), payload)


def test_each_control_statement_is_told_in_words(chronicle: Chronicle, book: NameBook) -> None:
    anna, carl = chronicle.patient("anna"), actor("carl")
    hospital, clinician = chronicle.hospital, chronicle.clinician
    recorded = [
        (chronicle.admit(clinician, ("clinician",), hospital), "admitted: clinician of hospital, clinician"),
        (chronicle.admit(carl, ("lab",)), "admitted: carl, lab"),
        (chronicle.open(anna), "timeline opened, kept by hospital; may write unasked: clinician"),
        (chronicle.give(anna, clinician), "clinician may read/write clinical, identity, medication with history"),
        (chronicle.withdraw(anna, clinician), "access of clinician ended"),
    ]
    for record, said in recorded:
        assert describe_statement(parse_statement(record.statement), None, None, book) == said


def test_keys_and_ends_are_told_too(chronicle: Chronicle, book: NameBook) -> None:
    clinician = chronicle.clinician
    rotate = Rotate(clinician.id, clinician.key.public, hpke_public("new"), bytes(64))
    told = {
        ("participant.rotate", rotate): "new keys: clinician",
        ("participant.suspend", Suspend(clinician.id)): "suspended: clinician",
        ("care.retract", Retract("entered-in-error")): "retraction: entered-in-error",
    }
    for (event_type, payload), said in told.items():
        assert describe_statement(_control(chronicle.hospital, event_type, payload), None, None, book) == said


def test_a_control_statement_that_breaks_its_model_is_told_by_its_type(chronicle: Chronicle, book: NameBook) -> None:
    statement = _control(chronicle.hospital, "grant.give", {"grantee": 7})
    assert describe_statement(statement, None, None, book) == "grant.give"


def test_an_opened_resource_is_its_headline(chronicle: Chronicle, book: NameBook) -> None:
    statement = parse_statement(chronicle.care(chronicle.patient("anna")).statement)
    resource = {"resourceType": "Observation", "code": {"text": "SpO₂"}, "valueQuantity": {"value": 91, "unit": "%"}}
    assert describe_statement(statement, resource, None, book) == "SpO₂ 91 %"


def test_what_cannot_be_opened_says_why(chronicle: Chronicle, book: NameBook) -> None:
    statement = parse_statement(chronicle.care(chronicle.patient("anna")).statement)
    assert (
        describe_statement(statement, None, "no key of this epoch", book) == "care.observation (no key of this epoch)"
    )
    assert describe_statement(statement, None, None, book) == "care.observation (not a FHIR resource)"


def test_who_has_no_name_is_shown_by_the_start_of_an_id() -> None:
    stranger = sha256(b"stranger")
    assert NameBook().label(stranger) == f"{encode_id(stranger)[:8]}…"


def test_the_first_name_that_was_learnt_stays() -> None:
    book, identity = NameBook(), sha256(b"ada")
    book.learn([Named("", identity), Named("ada", identity), Named("another", identity)])
    assert book.label(identity) == "ada"
