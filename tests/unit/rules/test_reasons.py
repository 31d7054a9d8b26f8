from __future__ import annotations

import re
from pathlib import Path

from carenet.rules.reasons import RETRYABLE, Reason

HERE = Path(__file__).resolve().parent
ASSERTED = re.compile(r"refuse[^\n]*?Reason\.([A-Z_]+)|Reason\.([A-Z_]+)[,)\n]")


def test_every_reason_is_produced_by_a_test_of_this_folder() -> None:
    # `refuse` and its kin fold a record, compare the reason, and assert that nothing else changed.
    told = "\n".join(
        each.read_text(encoding="utf-8") for each in HERE.rglob("test_*.py") if each.name != "test_reasons.py"
    )
    named = {one or other for one, other in ASSERTED.findall(told)}
    assert {reason.name for reason in Reason} <= named


def test_a_code_is_its_name_in_lower_case() -> None:
    assert all(reason.value == reason.name.lower() for reason in Reason)


def test_what_the_sdk_mends_are_races() -> None:
    assert {Reason.STALE_EPOCH, Reason.UNKNOWN_SIGNER, Reason.NOT_A_READER} <= RETRYABLE
    assert not RETRYABLE & {Reason.BAD_SIGNATURE, Reason.NO_GRANT, Reason.CONFLICTING_ID, Reason.DUPLICATE}
