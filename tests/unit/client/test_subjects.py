from __future__ import annotations

from typing import Any

import pytest

from carenet.client.spool import Spool
from carenet.client.subjects import Epoch, Subjects, check_epoch, check_subject
from carenet.client.trust import Trust
from carenet.client.wire import to_text
from carenet.encoding.ids import encode_id
from carenet.errors import BadInputError, ProofError
from carenet.statements.keys import compute_epoch_id
from tests.support.actors import hpke_public
from tests.support.proven import ProvenLog
from tests.support.world import World, epoch_ids

WORLD = World(nodes=1, quorum=1)
TRUST = Trust(WORLD.genesis)
PATIENT = WORLD.patient(1)
PUBLIC = PATIENT.epoch("clinical", 0)


def opened():
    return WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement


def shown_epoch(**changes: Any) -> dict[str, Any]:
    fields = ProvenLog(WORLD).shown(opened()) | {"epoch": to_text(compute_epoch_id(PUBLIC)), "public": to_text(PUBLIC)}
    return fields | changes


def test_an_epoch_is_believed_with_the_statement_that_began_it():
    epoch = check_epoch(shown_epoch(), PATIENT.id, "clinical", TRUST)
    assert epoch == Epoch("clinical", compute_epoch_id(PUBLIC), PUBLIC, 0)


def made_up() -> dict[str, Any]:
    public = hpke_public("a gateway's own")
    return {"public": to_text(public), "epoch": to_text(compute_epoch_id(public))}


@pytest.mark.parametrize(
    "changes",
    [made_up(), {"epoch": to_text(bytes(16))}, {"public": to_text(PATIENT.epoch("identity", 0))}, {"receipt": None}],
    ids=["made-up-key", "wrong-id", "another-compartments-key", "no-receipt"],
)
def test_an_epoch_that_the_log_does_not_say_is_refused(changes: dict[str, Any]):
    with pytest.raises(BadInputError):
        check_epoch(shown_epoch(**changes), PATIENT.id, "clinical", TRUST)


def test_an_epoch_of_another_subject_is_refused():
    with pytest.raises(ProofError):
        check_epoch(shown_epoch(), WORLD.patient(1, 1).id, "clinical", TRUST)


def test_a_statement_that_begins_no_epoch_is_refused():
    shared = WORLD.share(WORLD.hospital, PATIENT, [WORLD.hospital.id], epoch_ids([PUBLIC])).statement
    fields = ProvenLog(WORLD).shown(shared) | {"epoch": to_text(compute_epoch_id(PUBLIC)), "public": to_text(PUBLIC)}
    with pytest.raises(ProofError, match="begins no epoch"):
        check_epoch(fields, PATIENT.id, "clinical", TRUST)


def answer(**changes: Any) -> dict[str, Any]:
    told = {"type": "reply", "subject": encode_id(PATIENT.id), "kind": "patient", "write": ["lab"], "emergency": True}
    told |= {"custodians": [encode_id(WORLD.hospital.id)], "next_seq": 4, "epochs": {"clinical": shown_epoch()}}
    return told | changes


def test_a_subject_is_described_with_its_epochs():
    told = check_subject(answer(), PATIENT.id, TRUST)
    assert (told.custodians, told.write, told.emergency, told.next_seq) == ((WORLD.hospital.id,), ("lab",), True, 4)
    assert told.epochs["clinical"].public == PUBLIC


@pytest.mark.parametrize(
    "changes",
    [{"subject": encode_id(bytes(32))}, {"custodians": ["x"]}, {"epochs": {"clinical": 1}}, {"next_seq": None}],
    ids=lambda change: next(iter(change)),
)
def test_a_malformed_description_is_refused(changes: dict[str, Any]):
    with pytest.raises(BadInputError):
        check_subject(answer(**changes), PATIENT.id, TRUST)


def test_a_compartment_never_goes_back_an_epoch(tmp_path):  # noqa: ANN001
    first, second = (Epoch("clinical", bytes([n]) * 16, b"", seq) for n, seq in ((1, 0), (2, 5)))
    with Spool(tmp_path / "spool.sqlite") as spool:
        subjects = Subjects(None, TRUST, spool)  # type: ignore[arg-type] # nothing is asked
        subjects.learn(PATIENT.id, first)
        subjects.learn(PATIENT.id, second)
        subjects.learn(PATIENT.id, second)
        with pytest.raises(ProofError, match="older"):
            subjects.learn(PATIENT.id, first)
        with pytest.raises(ProofError, match="two epochs"):
            subjects.learn(PATIENT.id, Epoch("clinical", bytes([3]) * 16, b"", 5))
    with Spool(tmp_path / "spool.sqlite") as spool:  # nor after a restart
        subjects = Subjects(None, TRUST, spool)  # type: ignore[arg-type] # nothing is asked
        with pytest.raises(ProofError, match="older"):
            subjects.learn(PATIENT.id, first)
        subjects.learn(PATIENT.id, Epoch("identity", bytes([1]) * 16, b"", 0))


class Gateway:
    """Describes the patient once by an old epoch, then by the present one, as a gateway that catches up does."""

    def __init__(self) -> None:
        log, public = ProvenLog(WORLD), PATIENT.epoch("clinical", 1)
        old = log.shown(opened()) | {"epoch": to_text(compute_epoch_id(PUBLIC)), "public": to_text(PUBLIC)}
        begun = WORLD.begin(
            WORLD.hospital, PATIENT, {"clinical": public}, to=[WORLD.hospital.id], brings=epoch_ids([public])
        )
        new = log.shown(begun.statement) | {"epoch": to_text(compute_epoch_id(public)), "public": to_text(public)}
        self.old, self.new = old, new
        self.answers = [old, new]

    async def ask(self, kind: str, **_fields: object) -> dict[str, Any]:
        assert kind == "describe"
        return answer(epochs={"clinical": self.answers.pop(0)})


async def test_a_gateway_that_lags_behind_another_one_is_asked_again(tmp_path):  # noqa: ANN001
    with Spool(tmp_path / "spool.sqlite") as spool:
        gateway: Any = Gateway()
        new = check_epoch(gateway.new, PATIENT.id, "clinical", TRUST)
        spool.remember_epoch(PATIENT.id, "clinical", new.seq, new.id)  # another process saw it first
        subjects = Subjects(gateway, TRUST, spool)
        assert await subjects.fetch_epoch(PATIENT.id, "clinical") == new


async def test_a_refusal_that_shows_an_older_epoch_than_is_known_by_now_changes_nothing():
    with Spool(None) as spool:
        gateway: Any = Gateway()
        subjects = Subjects(gateway, TRUST, spool)
        new = check_epoch(gateway.new, PATIENT.id, "clinical", TRUST)
        subjects.learn(PATIENT.id, new)
        assert await subjects.take_shown(PATIENT.id, "clinical", gateway.old) == new
