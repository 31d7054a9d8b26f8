"""The reader, the table and the headlines on real bundles (Synthea, FHIR R4) that nobody here wrote."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from carenet.fhir.bundles import count_resources, read_source
from carenet.fhir.compartments import COMPARTMENTS, compartment_of, event_type_of
from carenet.fhir.identity import derive_cti
from carenet.fhir.phrases import LONGEST
from carenet.fhir.resources import PatientBundle, ReferenceData
from carenet.fhir.summary import headline
from tests.support.data import SHARED, needs_shared

pytestmark = needs_shared

FOLDER = SHARED / "fhir-r4"
TIMELESS = {"Patient", "Organization", "Practitioner", "Goal"}  # those of the set that state no clinical time


@pytest.fixture(scope="module")
def groups() -> list[PatientBundle | ReferenceData]:
    return list(read_source(FOLDER))


@pytest.fixture(scope="module")
def bundles(groups: list[PatientBundle | ReferenceData]) -> list[PatientBundle]:
    return [group for group in groups if isinstance(group, PatientBundle)]


def test_every_patient_goes_through_with_every_resource(bundles: list[PatientBundle]):
    counts = Counter(resource.type for bundle in bundles for resource in bundle.resources)
    assert len(bundles) == 80
    assert all(len(bundle.patients) == 1 for bundle in bundles)
    assert counts.total() == 22_198
    assert {"Observation": 10_312, "Encounter": 2_019, "Procedure": 1_507, "Patient": 80}.items() <= counts.items()


def test_hospitals_and_practitioners_come_first_and_are_reference_data(groups: list[PatientBundle | ReferenceData]):
    assert [isinstance(group, ReferenceData) for group in groups] == [True] * 2 + [False] * 80
    assert [len(group.resources) for group in groups[:2]] == [102, 102]
    assert count_resources(FOLDER) == 22_198 + 204


def test_every_body_stands_in_the_source_as_it_is(bundles: list[PatientBundle]):
    for bundle in bundles:
        source = gzip.decompress((FOLDER / bundle.source).read_bytes())
        at = 0
        for resource in bundle.resources:
            at = source.index(resource.body, at) + len(resource.body)  # in order, without overlap
            assert json.loads(resource.body)["resourceType"] == resource.type


def test_every_resource_has_a_compartment_an_event_type_a_headline_and_most_a_time(bundles: list[PatientBundle]):
    for bundle in bundles:
        for resource in bundle.resources:
            assert compartment_of(resource.type) in COMPARTMENTS
            assert event_type_of(resource.type).startswith("care.")
            line = headline(json.loads(resource.body))
            assert 0 < len(line) <= LONGEST
            assert line.isprintable()
            assert (resource.claimed_time is None) == (resource.type in TIMELESS)


def test_every_resource_of_a_bundle_has_its_own_cti(bundles: list[PatientBundle]):
    for bundle in bundles:
        ctis = {derive_cti(bundle.identity, resource.place) for resource in bundle.resources}
        assert len(ctis) == len(bundle.resources)


def test_a_patients_bundle_read_alone_is_the_same(bundles: list[PatientBundle]):
    bundle = bundles[17]
    (alone,) = read_source(FOLDER / bundle.source)
    assert isinstance(alone, PatientBundle)
    assert (alone.identity, alone.resources) == (bundle.identity, bundle.resources)
