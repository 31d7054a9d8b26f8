from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.client.trust import Trust
from carenet.client.wire import to_text
from carenet.errors import BadInputError, ProofError, StatementError
from tests.support.proven import ProvenLog
from tests.support.world import World

WORLD = World(nodes=1, quorum=1)
TRUST = Trust(WORLD.genesis)
PATIENT = WORLD.patient(1)


def test_a_recorded_statement_is_believed_with_its_receipt():
    log, message = ProvenLog(WORLD), WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital])
    recorded = TRUST.verify_recorded(log.shown(message.statement))
    assert recorded.statement.digest == message.statement.digest
    assert (recorded.entry.subject, recorded.entry.seq) == (PATIENT.id, 0)


@pytest.mark.parametrize("field", ["statement", "entry", "receipt"])
def test_a_part_of_another_statement_is_refused(field: str):
    log = ProvenLog(WORLD)
    one, two = (log.shown(WORLD.open(WORLD.hospital, WORLD.patient(1, n), [WORLD.hospital]).statement) for n in (0, 1))
    with pytest.raises(BadInputError):
        TRUST.verify_recorded(one | {field: two[field]})


@pytest.mark.parametrize("field", ["statement", "entry", "receipt"])
def test_a_missing_part_is_refused(field: str):
    shown = ProvenLog(WORLD).shown(WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement)
    with pytest.raises(BadInputError):
        TRUST.verify_recorded(shown | {field: None})


def test_a_receipt_by_a_stranger_is_refused():
    other = World(nodes=1, quorum=1)
    other.nodes = [WORLD.stranger]
    shown = ProvenLog(other).shown(WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement)
    with pytest.raises(ProofError, match="no known node"):
        TRUST.verify_recorded(shown)


def test_a_statement_of_another_network_is_refused():
    other = World(nodes=1, quorum=1)
    other.genesis = replace(other.genesis, salt=b"\1" * 16)
    other.network = other.genesis.network_id
    shown = ProvenLog(other).shown(other.open(other.hospital, PATIENT, [other.hospital]).statement)
    with pytest.raises(StatementError, match="another network"):
        TRUST.verify_recorded(shown)


def test_a_receipt_of_another_log_than_the_subjects_is_refused():
    class Astray(ProvenLog):
        def append(self, statement):  # noqa: ANN001, ANN202
            entry, _, index = super().append(statement)
            self.trees[2] = self.trees[1]
            return entry, 2, index

    shown = Astray(WORLD).shown(WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement)
    with pytest.raises(ProofError, match="another log"):
        TRUST.verify_recorded(shown)


def test_the_networks_own_statements_stand_in_every_log():
    message = WORLD.admit(WORLD.authority, WORLD.lab, ["lab"])

    class Relayed(ProvenLog):
        def append(self, statement):  # noqa: ANN001, ANN202
            entry, _, index = super().append(statement)
            self.trees[2] = self.trees[0]
            return entry, 2, index

    assert TRUST.verify_recorded(Relayed(WORLD).shown(message.statement)).entry.seq == 0


def test_an_entry_that_claims_another_subject_is_refused():
    message = WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital])
    other = WORLD.patient(1, 1).id

    class Claiming(ProvenLog):
        def append(self, statement):  # noqa: ANN001, ANN202
            entry, partition, index = super().append(statement)
            claimed = replace(entry, subject=other)
            self.trees[partition] = type(self.trees[partition])()
            self.trees[partition].append(claimed.leaf_hash)
            return claimed, partition, index

    with pytest.raises(ProofError, match="another subject"):
        TRUST.verify_recorded(Claiming(WORLD).shown(message.statement))


def test_bytes_that_are_no_statement_are_refused():
    shown = ProvenLog(WORLD).shown(WORLD.open(WORLD.hospital, PATIENT, [WORLD.hospital]).statement)
    with pytest.raises(BadInputError):
        TRUST.verify_recorded(shown | {"statement": to_text(b"\xd2\x84")})
