"""Others' inclusion and consistency proofs, good and bad, each named after its flaw (transparency-dev/merkle)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from carenet.errors import ProofError
from carenet.ledger.proofs import verify_consistency, verify_inclusion
from tests.support.data import SHARED, needs_shared

pytestmark = needs_shared

FOLDER = SHARED / "vectors" / "merkle"
CASES = 98  # in each file; a file that shrank would pass unnoticed


def load(name: str) -> dict[str, Any]:
    path = FOLDER / name
    return json.loads(path.read_text()) if path.is_file() else {}


INCLUSION, CONSISTENCY = load("inclusion.json"), load("consistency.json")


def decode(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def decode_path(case: dict[str, Any]) -> list[bytes]:
    return [decode(step) for step in case["proof"] or []]


def test_all_cases_are_there() -> None:
    assert (len(INCLUSION), len(CONSISTENCY)) == (CASES, CASES)


@pytest.mark.parametrize("name", INCLUSION)
def test_inclusion(name: str) -> None:
    case = INCLUSION[name]
    arguments = (decode(case["leafHash"]), case["leafIdx"], case["treeSize"], decode_path(case), decode(case["root"]))
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_inclusion(*arguments)
    else:
        verify_inclusion(*arguments)


@pytest.mark.parametrize("name", CONSISTENCY)
def test_consistency(name: str) -> None:
    case = CONSISTENCY[name]
    arguments = (case["size1"], case["size2"], decode(case["root1"]), decode(case["root2"]), decode_path(case))
    if case["wantErr"]:
        with pytest.raises(ProofError):
            verify_consistency(*arguments)
    else:
        verify_consistency(*arguments)
