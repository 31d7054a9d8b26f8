from __future__ import annotations

from typing import Any

from carenet.cli.lines import NameBook
from carenet.cli.timeline import _sum_up, known_at
from carenet.cli.watch import View, json_of, line_of
from carenet.client.updates import Update
from carenet.encoding.ids import sha256
from carenet.ledger.entry import NO_PREV, Entry
from carenet.statements.payloads import Retract
from carenet.statements.statement import Statement
from carenet.store.stored import ActivityRow
from tests.support.actors import NOW_S, Actor, actor, header_of, sign

LEE = actor("dr-lee")
PATIENT = sha256(b"subject")


def _care(number: int, **changes: Any) -> Statement:
    fields = {"type": "care.observation", "content_type": "application/fhir+json", "compartment": "clinical"}
    header = header_of(LEE, cti=sha256(bytes([number]))[:16], epoch=bytes(16), **(fields | changes))
    return sign(LEE, header, sha256(b"body"))


def _retract(number: int, replaced: Statement, signer: Actor = LEE) -> Statement:
    cti = sha256(bytes([number]))[:16]
    header = header_of(signer, type="care.retract", cti=cti, compartment="clinical", replaces=replaced.digest)
    return sign(signer, header, Retract("entered-in-error"))


def _update(seq: int, statement: Statement, content: bytes | None = None, *, is_backlog: bool = True) -> Update:
    prev = NO_PREV if seq == 0 else bytes([1]) * 32
    log_time_ms = NOW_S * 1000 + seq * 1000
    entry = Entry(PATIENT, seq, prev, statement.digest, log_time_ms)
    return Update(
        statement=statement,
        entry=entry,
        partition=0,
        index=seq,
        body=None,
        content=content,
        fault=None if content else "no key of this epoch",
        is_backlog=is_backlog,
        received_ms=log_time_ms + 7,
    )


def _history() -> list[Update]:
    first, other = _care(0), _care(1)
    corrected = _care(2, replaces=first.digest)
    return [_update(0, first), _update(1, other), _update(2, corrected), _update(3, _retract(3, other))]


def test_now_shows_what_was_corrected_and_retracted() -> None:
    marks = [each.mark for each in known_at(_history(), None)]
    assert marks == ["[corrected by #2]", "[retracted by #3]", "", ""]


def test_then_shows_what_was_known_then() -> None:
    at = NOW_S * 1000
    assert [each.mark for each in known_at(_history(), at - 1)] == []
    assert [each.mark for each in known_at(_history(), at + 1000)] == ["", ""]
    assert [each.mark for each in known_at(_history(), at + 2500)] == ["[corrected by #2]", "", ""]


def test_a_second_correction_is_the_one_that_is_named() -> None:
    first = _care(0)
    history = [_update(number, _care(number, replaces=first.digest)) for number in (1, 2)]
    assert known_at([_update(0, first), *history], None)[0].corrected_by == 2


def test_an_update_is_one_line_for_people() -> None:
    book = NameBook({PATIENT: "ada", LEE.id: "dr-lee"})
    content = b'{"resourceType":"Observation","code":{"text":"Pulse"},"valueQuantity":{"value":110,"unit":"/min"}}'
    live = _update(1, _care(0), content, is_backlog=False)
    assert line_of(live, book) == "14:13:21.000  ada         dr-lee      Pulse 110 /min  (+7 ms)"
    corrected = _update(2, _care(0, replaces=bytes(32)), content)
    assert line_of(corrected, book) == "14:13:22.000  ada         dr-lee      correction: Pulse 110 /min"
    sealed = _update(3, _care(0))
    assert line_of(sealed, book).endswith("care.observation (no key of this epoch)")


def test_lines_of_patients_with_names_of_any_length_are_aligned() -> None:
    book = NameBook({PATIENT: "ada", LEE.id: "dr-lee", bytes(32): "tomas-herrera"})
    other = _update(1, _care(0))
    long = NameBook(book.names | {PATIENT: "tomas-herrera"})
    assert line_of(other, book).index("care.") == line_of(other, long).index("care.")


def test_a_watch_shows_the_types_that_were_asked_for_and_no_other() -> None:
    view = View((), ("care.observation", "grant.*"), None, once=False)
    assert [view.takes(each) for each in ("care.observation", "grant.give", "care.condition", "grants.x", "grant")] == [
        True, True, False, False, False
    ]  # fmt: skip
    assert View((), None, None, once=False).takes("grant.give")


def test_an_update_for_machines_has_everything() -> None:
    book = NameBook({LEE.id: "dr-lee"})
    told = json_of(_update(1, _care(0), b'{"resourceType":"Observation"}', is_backlog=False), book)
    assert (told["seq"], told["by"], told["name"], told["latency_ms"]) == (1, "dr-lee", None, 7)
    assert (told["type"], told["compartment"], told["resource"]) == (
        "care.observation",
        "clinical",
        {"resourceType": "Observation"},
    )
    assert told["control"] is None
    assert json_of(_update(3, _retract(3, _care(0))), book)["control"] == "retraction: entered-in-error"


def test_figures_are_summed_by_type() -> None:
    rows = [
        ActivityRow(0, PATIENT, 60_000, "care.observation", 3, 1, 0, 5),
        ActivityRow(0, PATIENT, 120_000, "care.observation", 5, 0, 2, 9),
        ActivityRow(0, PATIENT, 120_000, "care.condition", 1, 0, 0, 6),
    ]
    assert _sum_up(rows) == {"care.condition": (1, 1, 0, 0), "care.observation": (8, 5, 1, 2)}
    assert list(_sum_up(rows)) == ["care.condition", "care.observation"]
