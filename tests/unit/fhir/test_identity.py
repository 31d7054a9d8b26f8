from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carenet.fhir.identity import CTI_BYTES, derive_cti


def test_the_same_item_of_the_same_bundle_has_the_same_cti():
    # Computed with sha256 alone; the value is fixed: another one would publish everything twice after an upgrade.
    assert derive_cti("urn:uuid:1", "urn:uuid:2").hex() == "b19e64e98c8eb633ee4253d38f4486d1"
    assert len(derive_cti("", "")) == CTI_BYTES


@given(st.text(), st.text(), st.text(), st.text())
def test_different_pairs_have_different_ctis_also_when_they_run_together(a: str, b: str, c: str, d: str):
    assert (derive_cti(a, b) == derive_cti(c, d)) == ((a, b) == (c, d))


def test_the_boundary_between_bundle_and_place_counts():
    assert derive_cti("ab", "c") != derive_cti("a", "bc")


def test_a_lone_surrogate_from_a_json_escape_is_hashed_like_any_text():
    assert derive_cti("\ud800", "x") != derive_cti("\ud801", "x")
