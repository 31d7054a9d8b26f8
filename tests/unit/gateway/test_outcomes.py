from __future__ import annotations

from datetime import UTC, datetime

from carenet.gateway.outcomes import stale_statement
from carenet.rules.effects import KEPT_BYTES
from carenet.store.stored import StoredRejection
from tests.support.ward import Ward


def refusal(reason: str, head: bytes) -> StoredRejection:
    return StoredRejection(0, 0, reason, "", head[:KEPT_BYTES], None, True, None, None, datetime.now(UTC))


def test_the_statement_of_a_stale_epoch_is_read_from_what_was_kept() -> None:
    ward = Ward()
    message = ward.world.care(ward.world.clinician, ward.patient, ward.current(), body=bytes(5000))
    statement = stale_statement(refusal("stale_epoch", message.value))
    assert statement is not None
    assert statement.digest == message.statement.digest


def test_other_refusals_need_no_statement() -> None:
    ward = Ward()
    message = ward.world.care(ward.world.clinician, ward.patient, ward.current())
    assert stale_statement(refusal("too_old", message.value)) is None


def test_a_statement_that_was_kept_in_part_is_none() -> None:
    ward = Ward()
    brings = [ward.current()] * 1
    message = ward.world.share(ward.world.hospital, ward.patient, [bytes([n]) * 32 for n in range(60)], brings)
    assert stale_statement(refusal("stale_epoch", message.value)) is None
