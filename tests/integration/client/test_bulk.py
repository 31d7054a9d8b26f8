"""A long queue: sealed by several processes, signed in batches, stored and sent in chunks; and every event once."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from functools import partial

import pytest

from carenet.audit.database import verify_database
from carenet.client import publishing
from carenet.client.bulk import CareEvent
from carenet.client.crew import Crew
from carenet.client.outcomes import Outcome
from carenet.encoding.ids import encode_id
from carenet.sealing.keyfile import save_identity
from tests.integration.client.conftest import Node
from tests.support.bulkwriter import events
from tests.support.watching import WAIT_S, take_care

MANY = 400


@pytest.mark.parametrize("is_direct", [False, True], ids=["through-the-gateway", "straight-to-kafka"])
async def test_refused_statements_of_a_batch_harm_no_other(
    node: Node, is_direct: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publishing, "Crew", partial(Crew, members=1, worth_it=0))
    hospital, lee, _ = await node.found()
    patient, foreign = await hospital.register_patient(), await hospital.register_patient()
    await hospital.grant(patient, lee.identity.id, ["read", "write"])
    about = {0: encode_id(bytes(32)), 5: foreign}  # nobody ever opened the first, and nobody let us write the other
    made = [CareEvent(about.get(place % 10, patient), event.resource) for place, event in enumerate(events("", 300))]
    seen: dict[int, Outcome] = {}
    writer = await node.enter(node.person("lee"), kafka=node.kafka if is_direct else None)
    tally = await writer.publish_many(made, lambda event, outcome: seen.__setitem__(made.index(event), outcome))
    assert (tally.accepted, dict(tally.refused)) == (240, {"unknown_subject": 30, "no_grant": 30})
    assert {place % 10 for place, outcome in seen.items() if not outcome.accepted} == {0, 5}
    updates = await take_care(lee.watch(patient), 240)
    assert [update.resource for update in updates] == [each.resource for each in made if each.patient == patient]
    places = [update.statement.place for update in updates]
    assert max(place.size for place in places if place is not None) > 1
    accepted = next(outcome for outcome in seen.values() if outcome.accepted)
    assert (await accepted.or_raise().receipt()).entry.digest == accepted.or_raise().digest
    assert (await verify_database(node.database, node.genesis)).breaks == []
    assert writer._parts.delivery._spool.count() == 0


async def test_a_publisher_that_is_killed_in_the_middle_has_published_nothing_twice_and_loses_nothing(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    for care in (lee, okafor):
        await hospital.grant(patient, care.identity.id, ["read", "write"])
    keys = save_identity(node.person("lee"), node.folder / "keys" / "lee.key")
    arguments = (node.gateway.url, node.kafka, str(keys.path), str(node.folder), patient, str(MANY))
    await lee.__aexit__(None, None, None)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.bulkwriter", *arguments, stdout=PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(4 * WAIT_S):
        for _ in range(MANY // 4):
            assert await child.stdout.readline() == b"decided\n"
        child.kill()
        await child.wait()

    again = await node.enter(node.person("lee"), kafka=node.kafka)
    assert again.resumed
    assert all(outcome.accepted for outcome in again.resumed)
    assert again._parts.delivery._spool.count() == 0
    tally = await again.publish_many(events(patient, MANY))  # the same events: those that are there are the one
    assert (tally.accepted, dict(tally.refused)) == (MANY, {})
    updates = await take_care(okafor.watch(patient), MANY)
    assert sorted(update.statement.header.cti for update in updates) == [
        number.to_bytes(16, "big") for number in range(MANY)
    ]
    assert (await verify_database(node.database, node.genesis)).breaks == []
