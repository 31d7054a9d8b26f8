from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from carenet.errors import ResourceError
from carenet.fhir import bundles
from carenet.fhir.bundles import count_resources, list_files, read_source
from carenet.fhir.resources import MAX_BODY_BYTES, PatientBundle, ReferenceData

PATIENT = {"resourceType": "Patient", "id": "p"}
OBSERVATION = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p"}}
ORGANIZATION = {"resourceType": "Organization", "id": "h"}


def bundle(*resources: dict[str, Any], **members: Any) -> str:
    entries = [{"fullUrl": f"urn:uuid:{i}", "resource": resource} for i, resource in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", **members, "entry": entries})


def write(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def read_text(text: str | bytes, **options: Any) -> list[PatientBundle | ReferenceData]:
    return list(read_source(io.BytesIO(text.encode() if isinstance(text, str) else text), **options))


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.ndjson", "a.ndjson.gz"])
def test_every_kind_of_file_gives_the_same_patient(tmp_path: Path, name: str):
    if "ndjson" in name:
        text = "\n".join(json.dumps(resource) for resource in (OBSERVATION, PATIENT)) + "\n\n"
    else:
        text = bundle(OBSERVATION, PATIENT)
    path = write(tmp_path / name, text)
    (group,) = read_source(path)
    assert isinstance(group, PatientBundle)
    assert group.source == name
    assert [resource.type for resource in group.resources] == ["Patient", "Observation"]
    assert [resource.type for resource in group.patients] == ["Patient"]
    assert count_resources(path) == 2


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_stream_may_be_a_bundle_or_ndjson_packed_or_not(pack: Any):
    for text in (bundle(PATIENT, OBSERVATION), json.dumps(PATIENT) + "\n" + json.dumps(OBSERVATION)):
        (group,) = read_text(pack(text.encode()))
        assert isinstance(group, PatientBundle)
        assert len(group.resources) == 2


def test_a_pretty_printed_stream_is_one_bundle():
    (group,) = read_text(json.dumps(json.loads(bundle(PATIENT, OBSERVATION)), indent=2))
    assert len(group.resources) == 2


def test_a_resource_keeps_its_bytes_its_url_and_its_time():
    body = '{ "resourceType":"Observation","subject":{"reference":"urn:uuid:p"},\n "valueQuantity":{"value":1.50},\t'
    body += '"code":{"text":"Größe \\u00e9"},"effectiveDateTime":"1970-01-01T00:00:01Z"}'
    text = '{"entry":[{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient"}},'
    text += '{"resource": ' + body + ' ,"fullUrl":"urn:uuid:o"}],"resourceType":"Bundle"}'  # members in any order
    (group,) = read_text(text)
    resource = group.resources[1]
    assert resource.body == body.encode()
    assert (resource.full_url, resource.place, resource.position) == ("urn:uuid:o", "urn:uuid:o", "entry 2")
    assert resource.claimed_time == 1000
    assert resource.type == "Observation"


def test_the_bundles_identifier_names_it_else_the_patients_url_else_its_content():
    assert identity_of(bundle(PATIENT, identifier={"system": "s", "value": "v"})) == "s|v"
    assert identity_of(bundle(PATIENT)) == "urn:uuid:0"
    nameless = '{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","active":%s}}]}'
    assert identity_of(nameless % "true").startswith("sha256:")
    assert identity_of(nameless % "true") != identity_of(nameless % "false")


def identity_of(text: str) -> str:
    (group,) = read_text(text)
    assert isinstance(group, PatientBundle)
    return group.identity


def test_versions_of_one_resource_have_places_of_their_own():
    entry = {"fullUrl": "urn:uuid:o", "resource": OBSERVATION}
    text = json.dumps({"resourceType": "Bundle", "entry": [{"resource": PATIENT}, entry, entry]})
    (group,) = read_text(text)
    assert len({resource.place for resource in group.resources}) == 3


def test_hospitals_without_a_patient_are_reference_data():
    (group,) = read_text(bundle(ORGANIZATION, {"resourceType": "Practitioner"}))
    assert isinstance(group, ReferenceData)
    assert len(group.resources) == 2


def test_a_folder_is_read_reference_data_first_and_may_be_referred_to(tmp_path: Path):
    managed = {**PATIENT, "managingOrganization": {"reference": "Organization/h"}}
    write(tmp_path / "b.json", bundle(managed))
    write(tmp_path / "a.json.gz", bundle({**managed, "id": "q"}))
    (tmp_path / "z").mkdir()
    write(tmp_path / "z" / "hospitals.json", bundle(ORGANIZATION))
    write(tmp_path / ".hidden.json", "{")
    write(tmp_path / "notes.txt", "no FHIR")
    groups = list(read_source(tmp_path))
    assert [group.source for group in groups] == ["z/hospitals.json", "a.json.gz", "b.json"]
    assert [path.name for path in list_files(tmp_path)] == ["a.json.gz", "b.json", "hospitals.json"]
    assert count_resources(tmp_path) == 3
    with pytest.raises(ResourceError, match=r"b\.json: entry 1 \(Patient\) refers outside the bundle, to Organization"):
        list(read_source(tmp_path / "b.json"))


def test_a_bulk_export_of_one_file_a_type_is_put_together_by_patient(tmp_path: Path):
    lines = {
        "Patient": [{"resourceType": "Patient", "id": "1"}, {"resourceType": "Patient", "id": "2"}],
        "Observation": [{"resourceType": "Observation", "subject": {"reference": f"Patient/{i}"}} for i in "212"],
        "Provenance": [{"resourceType": "Provenance", "target": [{"reference": "Patient/2"}]}],
        "Organization": [ORGANIZATION],
    }
    for name, resources in lines.items():
        write(tmp_path / f"{name}.ndjson", "\n".join(map(json.dumps, resources)))
    shared, one, two = read_source(tmp_path)
    assert isinstance(shared, ReferenceData)
    assert isinstance(one, PatientBundle)
    assert isinstance(two, PatientBundle)
    assert [r.position for r in one.resources] == ["Patient.ndjson line 1", "Observation.ndjson line 2"]
    assert [r.type for r in two.resources] == ["Patient", "Observation", "Observation", "Provenance"]
    assert [r.place for r in one.resources] == ["Patient/1", "Observation.ndjson line 2"]
    assert (one.identity, two.identity) == ("Patient/1", "Patient/2")
    assert len({r.place for group in (one, two) for r in group.resources}) == 6


def test_bundles_on_lines_are_each_their_own(tmp_path: Path):
    path = write(tmp_path / "a.ndjson", bundle(PATIENT) + "\n" + bundle(PATIENT, OBSERVATION))
    assert [len(group.resources) for group in read_source(path)] == [1, 2]
    assert count_resources(path) == 3


def test_where_the_caller_says_whose_it_is_no_patient_is_needed(tmp_path: Path):
    (group,) = read_text(json.dumps({**OBSERVATION, "encounter": {"reference": "Encounter/9"}}), of_patient=True)
    assert isinstance(group, PatientBundle)
    assert group.patients == ()
    assert [resource.place for resource in group.resources] == ["Observation/o"]
    with pytest.raises(ResourceError, match="another patient"):
        read_text(bundle(OBSERVATION, {**OBSERVATION, "subject": {"reference": "Patient/q"}}), of_patient=True)
    with pytest.raises(ResourceError, match="2 patients where one was named"):
        read_text(bundle(PATIENT, {**PATIENT, "id": "q"}), of_patient=True)
    with pytest.raises(ResourceError, match="name the files"):
        list(read_source(tmp_path, of_patient=True))


def test_a_servers_remark_on_a_search_is_nobodys_resource():
    remark = {"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}}
    text = json.dumps({"resourceType": "Bundle", "entry": [{"resource": PATIENT}, remark]})
    assert [len(group.resources) for group in read_text(text)] == [1]


def test_a_byte_order_mark_is_passed_over():
    (group,) = read_text("\ufeff" + bundle(PATIENT))
    assert len(group.resources) == 1


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"{", r"a\.json: not JSON at line 1, column 2"),
        ("a.json", b"", r"a\.json: not JSON at line 1, column 1"),
        ("a.json", b"hello", r"a\.json: not JSON at line 1, column 1"),
        ("a.json", b'{"a":1}\n{"a":1}', r"a\.json: not JSON at line 2, column 1: more data after the end"),
        ("a.json", b'{"resourceType":"Patient","a":"\xff"}', r"a\.json: not UTF-8 at line 1"),
        ("a.json", b"[]", r"a\.json: not FHIR"),
        ("a.json", b'{"a":1}', r"a\.json: not FHIR: no resourceType"),
        ("a.json", b'{"resourceType":7}', r"a\.json: not FHIR: no resourceType"),
        ("a.json", b'{"resourceType":"Nonsense"}', r"a\.json: the resource: resourceType is none .* \(Nonsense\)"),
        ("a.json", b'{"resourceType":"Patient","id":7}', r"a\.json: the resource: the id of this Patient is not text"),
        ("a.json", b'{"resourceType":"Bundle"}', r"a\.json: no patient"),
        ("a.json", b'{"resourceType":"Bundle","entry":{}}', r"a\.json: no patient"),
        ("a.json", b'{"resourceType":"Bundle","entry":[1]}', r"a\.json: entry 1: not FHIR: an entry is an object"),
        ("a.json", b'{"resourceType":"Bundle","entry":[{}]}', r"a\.json: entry 1: the entry has no resource"),
        ("a.json", b'{"resourceType":"Bundle","entry":[{"resource":1}]}', r"a\.json: entry 1: not FHIR"),
        ("a.json", b'{"resourceType":"Bundle","entry":[{"resource":{}}]}', r"a\.json: entry 1: not FHIR"),
        ("a.json", b'{"resourceType":"Bundle","entry":[{"fullUrl":1,"resource":{}}]}', r"fullUrl is text"),
        ("a.json", json.dumps(OBSERVATION).encode(), r"a\.json: no patient"),
        ("a.ndjson", b"\n" + json.dumps(PATIENT).encode() + b"\n{,}", r"a\.ndjson: not JSON at line 3, column 2"),
        ("a.ndjson", b'{"resourceType":"Patient"}\n{"x":1}', r"a\.ndjson: line 2: not FHIR"),
        ("a.ndjson", b'{"resourceType":"Patient"}\n"\xff"', r"a\.ndjson: not UTF-8 at line 2"),
        (
            "a.ndjson",
            b'{"resourceType":"Bundle","entry":[{}]}',
            r"a\.ndjson: line 1 entry 1: the entry has no resource",
        ),
    ],
)
def test_wrong_input_is_refused_with_its_file_and_place(tmp_path: Path, name: str, data: bytes, message: str):
    path = write(tmp_path / name, data)
    with pytest.raises(ResourceError, match=message):
        list(read_source(path))


def test_broken_gzip_is_refused(tmp_path: Path):
    whole = gzip.compress(bundle(PATIENT).encode())
    for data, message in (
        (whole[:-9], "truncated gzip"),
        (whole[:15] + b"\xff\xff\xff" + whole[18:], "damaged gzip"),
        (b"{}", "not gzip"),
    ):
        path = tmp_path / "a.json.gz"
        path.write_bytes(data)
        with pytest.raises(ResourceError, match=rf"a\.json\.gz: {message}"):
            list(read_source(path))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    with pytest.raises(ResourceError, match=r"gone\.json: cannot be read: No such file"):
        list(read_source(tmp_path / "gone.json"))
    with pytest.raises(ResourceError, match=r"no \.json"):
        list(read_source(tmp_path))


def test_a_resource_that_no_record_could_hold_is_refused():
    room = MAX_BODY_BYTES - len(json.dumps({**PATIENT, "x": ""}))
    (group,) = read_text(bundle({**PATIENT, "x": "a" * room}))
    assert len(group.resources[0].body) == MAX_BODY_BYTES
    with pytest.raises(ResourceError, match="entry 1: this Patient is too large: 800 KiB of at most 800 KiB"):
        read_text(bundle({**PATIENT, "x": "a" * (room + 1)}))


def test_a_file_beyond_the_maximum_is_refused_packed_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundles, "MAX_SOURCE_BYTES", 1024 * 1024)
    data = b" " * (1024 * 1024 + 1)
    for name in ("a.json", "a.json.gz"):
        with pytest.raises(ResourceError, match="too large: at most 1 MiB"):
            list(read_source(write(tmp_path / name, data)))


@pytest.mark.parametrize(
    "reference",
    ["urn:uuid:elsewhere", "Practitioner/1", "https://x.example/fhir/Practitioner/1", "?identifier=1", "nonsense"],
)
def test_a_reference_that_leaves_the_bundle_is_refused_unless_allowed(reference: str):
    text = bundle(PATIENT, {**OBSERVATION, "performer": [{"reference": reference}]})
    with pytest.raises(ResourceError, match=r"entry 2 \(Observation\) refers outside the bundle"):
        read_text(text)
    (group,) = read_text(text, allow_external=True)
    assert len(group.resources) == 2


@pytest.mark.parametrize(
    "reference",
    ["urn:uuid:0", "Patient/p", "Patient/p/_history/2", "#inside", "Practitioner?identifier=http://x|1"],
)
def test_a_reference_that_stays_inside_is_fine(reference: str):
    assert len(read_text(bundle(PATIENT, {**OBSERVATION, "performer": [{"reference": reference}]}))) == 1


@pytest.mark.parametrize("subject", ["Patient/q", "urn:uuid:q", "https://x.example/fhir/Patient/q"])
def test_a_resource_about_somebody_else_never_enters_a_patients_bundle(subject: str):
    text = bundle(PATIENT, {**OBSERVATION, "subject": {"reference": subject}})
    for allow_external in (False, True):
        with pytest.raises(ResourceError, match=r"entry 2 \(Observation\) is about another patient"):
            read_text(text, allow_external=allow_external)


def test_messages_show_no_reference_and_no_content():
    text = bundle(PATIENT, {**OBSERVATION, "performer": [{"reference": "Practitioner/dr-secret", "display": "hush"}]})
    with pytest.raises(ResourceError) as caught:
        read_text(text)
    assert "secret" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_group_shows_counts_only():
    (group,) = read_text(bundle({**PATIENT, "name": [{"text": "Ada"}]}))
    assert repr(group) == "PatientBundle(1 resources, 1 patient)"
    assert "Ada" not in repr(group.resources[0])


def test_reading_is_lazy(tmp_path: Path):
    write(tmp_path / "a.json", bundle(PATIENT))
    write(tmp_path / "b.json", bundle(PATIENT).replace("]", ","))
    groups = read_source(tmp_path)
    assert next(groups).source == "a.json"
    with pytest.raises(ResourceError, match=r"b\.json"):
        next(groups)
