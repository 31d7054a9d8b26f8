from __future__ import annotations

from datetime import UTC, datetime

from carenet.encoding.ids import sha256
from carenet.node.continuity import compare
from carenet.rules.prepare import RawRecord
from carenet.statements.records import RecordValue, encode_record
from carenet.store.stored import StoredEntry, StoredRejection

STATEMENT = b"statement"


def _record(value: bytes | None) -> RawRecord:
    return RawRecord(7, b"key", value, 0, True)


def _entry(statement: bytes = STATEMENT) -> StoredEntry:
    zero = bytes(32)
    return StoredEntry(0, 1, zero, 0, b"", statement, sha256(statement), None, zero, "care.x", None, 7, 0)


def _rejection(head: bytes) -> StoredRejection:
    return StoredRejection(0, 7, "oversized", "", head, None, False, None, None, datetime.now(UTC))


def test_the_accepted_record_is_known_by_its_statement() -> None:
    value = encode_record(RecordValue(STATEMENT, b"body"))
    assert compare(_record(value), _entry()) is None
    assert compare(_record(value), _entry(b"another")) == "the topic has another record"


def test_the_refused_record_is_known_by_its_beginning() -> None:
    assert compare(_record(b"x" * 3000), _rejection(b"x" * 1024)) is None
    assert compare(_record(None), _rejection(b"")) is None
    assert compare(_record(b"y" * 3000), _rejection(b"x" * 1024)) == "the topic has another record"


def test_what_is_no_record_of_ours_is_another_one() -> None:
    for value in (None, b"", b"rubbish"):
        assert compare(_record(value), _entry()) == "the topic has another record"


def test_a_record_that_is_gone_is_told_and_one_that_was_never_decided_too() -> None:
    assert compare(None, _entry()) == "the topic has no record any more"
    assert compare(_record(b"x"), None) is not None
