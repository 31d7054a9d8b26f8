from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from carenet.client.directory import Directory
from carenet.client.drafts import build_care, draft_resource
from carenet.client.keys import Keys
from carenet.client.opening import Opener
from carenet.client.registry import apply_for_admission
from carenet.client.subjects import Epoch
from carenet.client.trust import Trust
from carenet.client.wire import to_bytes, to_text
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import BadInputError, CorruptionError
from carenet.ledger.entry import decode_entry
from carenet.sealing.epochs import EpochKeys
from carenet.sealing.identity import Identity, create_identity
from carenet.sealing.wraps import encode_wraps, wrap
from carenet.statements.payloads import KeyShare
from carenet.statements.statement import Statement, sign_statement
from tests.support.proven import ProvenLog, described_participant
from tests.support.world import World

WORLD = World(nodes=1, quorum=1)
PATIENT = WORLD.patient(1).id
WRITER, READER = (create_identity(name, WORLD.network, 1) for name in ("writer", "reader"))
KEYS = EpochKeys.generate()
RESOURCE = {"resourceType": "Observation", "status": "final"}


class Admissions:
    """A gateway that shows the two admissions, and has no keys."""

    async def ask(self, kind: str, **fields: object) -> dict[str, Any]:
        if kind == "keys":
            return {"type": "reply", "wraps": []}
        (who,) = (each for each in (WRITER, READER) if encode_id(each.id) == fields["participant"])
        admission = apply_for_admission(who, WORLD.authority.id, ["clinician"])
        admitted = WORLD.control(WORLD.authority, "participant.admit", WORLD.network, admission)
        return described_participant(ProvenLog(WORLD), [admitted.statement])


def opener(*, holds_key: bool = True) -> Opener:
    session: Any = Admissions()
    keys = Keys(READER, session)
    if holds_key:
        keys.keyring.add({KEYS.id: KEYS.private})
    return Opener(WORLD.network, Directory(session, Trust(WORLD.genesis)), keys)


def care(writer: Identity = WRITER) -> tuple[Statement, bytes]:
    draft = draft_resource(PATIENT, RESOURCE)
    statement, letter = build_care(draft, Epoch("clinical", KEYS.id, KEYS.public, 0), writer, 1)
    assert letter.body is not None
    return statement, letter.body


async def test_a_pushed_entry_is_verified_and_opened():
    update = await opener().open(ProvenLog(WORLD).pushed(*care(), backlog=True))
    assert (update.resource, update.fault, update.is_backlog) == (RESOURCE, None, True)
    assert (update.type, update.seq, update.time_ms) == ("care.observation", 0, WORLD.clock_ms)
    assert "final" not in repr(update)


async def test_without_the_key_the_update_says_so():
    update = await opener(holds_key=False).open(ProvenLog(WORLD).pushed(*care()))
    assert (update.content, update.fault) == (None, "no key of this epoch")


async def test_a_body_that_does_not_open_is_told_and_not_fatal():
    statement, body = care()
    other = sign_statement(replace(statement.header, cti=bytes(16)), sha256(body), WRITER.sign_key)
    update = await opener().open(ProvenLog(WORLD).pushed(other, body))
    assert update.content is None
    assert update.fault
    missing = await opener().open(ProvenLog(WORLD).pushed(statement, None))
    assert missing.fault == "the gateway sent no body"


async def test_a_statement_that_its_issuer_did_not_sign_is_corruption():
    statement, body = care()
    forged = replace(statement, encoded=statement.encoded[:-1] + bytes([statement.encoded[-1] ^ 1]))
    with pytest.raises(CorruptionError, match="did not sign"):
        await opener().open(ProvenLog(WORLD).pushed(forged, body))


async def test_a_statement_in_anothers_name_is_corruption():
    statement, body = care()
    posed = sign_statement(replace(statement.header, issuer=WRITER.id, kid=READER.kid), sha256(body), READER.sign_key)
    with pytest.raises(CorruptionError, match="did not sign"):
        await opener().open(ProvenLog(WORLD).pushed(posed, body))


async def test_an_entry_with_another_statement_is_corruption():
    log = ProvenLog(WORLD)
    one, two = log.pushed(*care()), log.pushed(*care())
    with pytest.raises(CorruptionError, match="another statement"):
        await opener().open(one | {"entry": two["entry"]})


async def test_a_statement_of_another_network_is_corruption():
    other = create_identity("writer", bytes(32), 1)
    with pytest.raises(CorruptionError, match="another network"):
        await opener().open(ProvenLog(WORLD).pushed(*care(other)))


async def test_neighbours_must_follow_one_another_and_gaps_are_legal():
    log, made = ProvenLog(WORLD), opener()
    pushes = [log.pushed(*care()) for _ in range(4)]
    await made.open(pushes[0])
    await made.open(pushes[1])
    await made.open(pushes[3])  # a filter left one out
    last = log.pushed(*care())
    forged = replace(decode_entry(to_bytes(last["entry"])), prev=bytes([1]) * 32)
    with pytest.raises(CorruptionError, match="does not follow"):
        await made.open(last | {"entry": to_text(forged.encode())})


async def test_wraps_in_a_push_are_taken_in_at_once():
    made = opener(holds_key=False)
    log = ProvenLog(WORLD)
    wrapped = wrap(WORLD.network, PATIENT, READER.id, READER.hpke_public, [KEYS.private])
    body = encode_wraps([wrapped])
    payload = KeyShare((READER.id,), (KEYS.id,), sha256(body))
    header = replace(care()[0].header, type="key.share", content_type=None, compartment=None, epoch=None)
    shared = sign_statement(header, payload.encode(), WRITER.sign_key)
    update = await made.open(log.pushed(shared, body))
    assert (update.content, update.fault, update.resource) == (None, None, None)
    assert (await made.open(log.pushed(*care()))).resource == RESOURCE


@pytest.mark.parametrize("field", ["entry", "statement", "index", "partition"])
async def test_a_malformed_push_is_refused(field: str):
    with pytest.raises(BadInputError):
        await opener().open(ProvenLog(WORLD).pushed(*care()) | {field: None})
