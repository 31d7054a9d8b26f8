from __future__ import annotations

import json
from pathlib import Path

import pytest

from carenet.bench.contents import CONTENT_BYTES, draft_content, draft_event, read_patients, write_patients
from carenet.encoding.ids import sha256
from carenet.statements.keys import HPKE_BYTES, compute_epoch_id


@pytest.mark.parametrize("number", [0, 7, 99_999, 9_999_999])
def test_every_content_is_fhir_of_one_length(number: int) -> None:
    content = draft_content(number)
    assert len(content) == CONTENT_BYTES
    assert json.loads(content)["resourceType"] == "Observation"


def test_patients_come_back_as_they_were_kept(tmp_path: Path) -> None:
    public = bytes(HPKE_BYTES)
    write_patients(tmp_path / "patients.json", [(sha256(b"anna"), public), (sha256(b"ben"), public)])
    patients = read_patients(tmp_path / "patients.json")
    assert [each.subject for each in patients] == [sha256(b"anna"), sha256(b"ben")]
    assert patients[0].epoch.id == compute_epoch_id(public)


def test_no_two_events_are_one_to_their_publisher(tmp_path: Path) -> None:
    write_patients(tmp_path / "patients.json", [(sha256(b"anna"), bytes(HPKE_BYTES))])
    (anna,) = read_patients(tmp_path / "patients.json")
    assert draft_event(1, anna).cti != draft_event(1, anna).cti
