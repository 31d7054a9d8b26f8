"""Checks 2 and 4 to 7 of the fold: those that hang on the record itself, and are made of every one."""

from __future__ import annotations

from carenet.rules.case import Refusal
from carenet.rules.prepare import Prepared
from carenet.rules.reasons import Reason
from carenet.rules.rows import IdempotencyRow
from carenet.statements.statement import Statement

MAX_AGE_MS = 60 * 60 * 1000  # a publisher that was offline for longer seals and signs again
MAX_AHEAD_MS = 5 * 60 * 1000  # clocks of honest publishers differ by less


def check_repeat(statement: Statement, used: IdempotencyRow | None) -> None:
    """Check 2.

    Args:
        statement: the record's.
        used: who used its (subject, issuer, cti) before, if anybody.
    """
    if used is not None and used.digest == statement.digest:
        raise Refusal(Reason.DUPLICATE, "the same statement was accepted before", used.digest)


def check_record(
    record: Prepared, statement: Statement, public: bytes, used: IdempotencyRow | None, now_ms: int
) -> None:
    """Checks 4 to 7.

    Args:
        record: the record.
        statement: its statement.
        public: the signer's current key.
        used: as above.
        now_ms: the record's time t.
    """
    if not record.is_signed_by(public):
        raise Refusal(Reason.BAD_SIGNATURE, "the signature does not hold")
    iat_ms = statement.header.iat_s * 1000
    if iat_ms < now_ms - MAX_AGE_MS:
        raise Refusal(Reason.TOO_OLD, "iat is more than 1 h before the log's time")
    if iat_ms > now_ms + MAX_AHEAD_MS:
        raise Refusal(Reason.FUTURE, "iat is more than 5 min after the log's time")
    check_body(record)
    if used is not None:
        _check_unused(statement, used)


def check_body(record: Prepared) -> None:
    """Check 6."""
    if record.body_fault is not None:
        raise Refusal(record.body_fault, "the record's body is not what the statement names")


def _check_unused(statement: Statement, used: IdempotencyRow) -> None:
    tag = statement.header.tag
    if tag is not None and tag == used.tag:
        raise Refusal(Reason.DUPLICATE, "the same event, rebuilt", used.digest)
    raise Refusal(Reason.CONFLICTING_ID, "cti was used for other content", used.digest)
