from __future__ import annotations

from carenet.client.carriers import GatewayCarrier
from carenet.client.spool import Letter
from carenet.errors import TransportError
from tests.integration.client.conftest import Node
from tests.support.watching import take_care

RESOURCE = {"resourceType": "Observation", "id": "o1", "status": "final"}


class _Dead(GatewayCarrier):
    """A carrier of a process that dies before (or after) the send."""

    is_sending = False

    async def send(self, letter: Letter) -> tuple[int, int]:
        if self.is_sending:
            await super().send(letter)
        raise TransportError("the process dies here")


async def test_what_a_dead_process_left_is_delivered_once_on_the_next_start(node: Node):
    hospital, lee, okafor = await node.found()
    patient = await hospital.register_patient()
    for care in (lee, okafor):
        await hospital.grant(patient, care.identity.id, ["read", "write"])
    for number, is_sending in enumerate((False, True)):
        carrier = _Dead(lee._parts.session)
        carrier.is_sending = is_sending
        lee._parts.delivery._carrier = carrier
        try:
            await lee.publish(patient, RESOURCE, cti=bytes([number]) * 16)
        except TransportError:
            continue
        raise AssertionError
    await hospital.begin_epochs(patient)  # meanwhile the epoch goes on: one of the two must be sealed again
    await lee.__aexit__(None, None, None)
    again = await node.enter(node.person("lee"))
    assert [outcome.accepted for outcome in again.resumed] == [True, True]
    assert again._parts.delivery._spool.count() == 0
    updates = await take_care(okafor.watch(patient), 2)
    assert [update.resource for update in updates] == [RESOURCE, RESOURCE]
    assert len({update.statement.header.cti for update in updates}) == 2
