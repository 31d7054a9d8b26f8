from __future__ import annotations

import pytest

from carenet.statements.keys import HPKE_BYTES, MLDSA44_BYTES, compute_epoch_id, domain
from tests.support.actors import hpke_public


@pytest.mark.parametrize("what", ["batch", "open", "admit", "rotate", "transfer", "challenge", "seal", "wrap"])
def test_each_purpose_has_a_leading_string_of_its_own(what: str) -> None:
    assert domain(what) == f"carenet/{what}/v1".encode() + b"\x00"


def test_no_leading_string_is_the_beginning_of_another() -> None:
    leads = [domain(what) for what in ("open", "opens", "seal", "wrap", "admit")]
    assert not any(one != other and other.startswith(one) for one in leads for other in leads)


def test_key_sizes_are_those_of_the_algorithms() -> None:
    assert (HPKE_BYTES, MLDSA44_BYTES) == (1184 + 32, 1312)


def test_two_epoch_keys_have_two_ids_of_16_bytes() -> None:
    one, other = compute_epoch_id(hpke_public("one")), compute_epoch_id(hpke_public("other"))
    assert one != other
    assert len(one) == len(other) == 16
