"""A network in which work goes on: who is admitted, one patient's open timeline, and assertions in one word.

`Ward()` is cheap: the founding is done once and copied. `accept` and `refuse` publish a message and fold it; `refuse`
also asserts that the refused record changed nothing that replicas agree on.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from carenet.rules.effects import Accepted, Rejected
from carenet.rules.reasons import Reason
from carenet.rules.rows import GrantRow
from tests.support.actors import Actor, actor
from tests.support.simulator import Network, Replica
from tests.support.world import Message, World, epoch_ids

PARTITION = 1  # of the ward's patient


@cache
def _founded() -> Network:
    world = World()
    network = Network(world)
    house = ["registrar", "custodian"]
    may_give = ["clinician", "ems", "registrar"]
    clinic = actor("clinic")  # another organisation, and a second custodian
    for message in (
        world.admit(world.authority, world.hospital, house, may_give=may_give),
        world.admit(world.authority, clinic, house, may_give=may_give),
        world.admit(world.hospital, world.clinician, ["clinician"], world.hospital),
        world.admit(world.hospital, world.nurse, ["clinician"], world.hospital),
        world.admit(world.authority, world.lab, ["lab"], hpke=None),
        world.admit(world.authority, world.pharmacy, ["pharmacy"]),
        world.admit(world.authority, world.emergency, ["emergency"]),
    ):
        assert isinstance(network.publish(message), Accepted)
    network.relay_all()
    return network


@cache
def _opened() -> Network:
    network = _founded().copy()
    world = network.world
    patient = world.patient(PARTITION)
    opened = world.open(world.hospital, patient, [world.hospital, actor("clinic")], write=["lab"])
    assert isinstance(network.publish(opened), Accepted)
    brings = epoch_ids([patient.epoch("clinical", 0), patient.epoch("medication", 0)])
    given = world.give(
        world.hospital,
        patient,
        world.clinician,
        compartments=["clinical", "medication"],
        actions=["read", "write"],
        to=[world.clinician.id],
        brings=brings,
    )
    assert isinstance(network.publish(given), Accepted)
    return network


class Ward:
    """See the module header.

    Attributes:
        net: the logs and replicas.
        world: the actors and builders.
        clinic: a second organisation, the patient's second custodian.
        patient: its timeline is open in `PARTITION`; the lab writes by standing choice, the clinician reads and writes
            `clinical` and `medication`, with history.
    """

    def __init__(self) -> None:
        self.net = _opened().copy()
        self.world = self.net.world
        self.clinic = actor("clinic")
        self.patient = self.world.patient(PARTITION)

    @property
    def replica(self) -> Replica:
        """The replica of the patient's partition."""
        return self.net.replicas[PARTITION]

    def epochs(self, compartment: str = "clinical") -> tuple[bytes, ...]:
        """The ids of a compartment's epochs, the current one last."""
        return self.replica.epochs(self.patient.id)[compartment]

    def current(self, compartment: str = "clinical") -> bytes:
        """The current epoch's id."""
        return self.epochs(compartment)[-1]

    def grants_of(self, grantee: Actor) -> list[GrantRow]:
        """A participant's grants on the patient, ended ones too."""
        return [grant for grant in self.replica.given[self.patient.id].values() if grant.grantee == grantee.id]

    def accept(self, message: Message) -> Accepted:
        """Publish what must be accepted; network statements are relayed at once."""
        outcome = self.net.publish(message)
        assert isinstance(outcome, Accepted), f"{outcome.reason}: {outcome.detail}"
        self.net.relay_all()
        return outcome

    def refuse(self, message: Message, reason: Reason) -> Rejected:
        """Publish what must be refused for a reason, and change nothing."""
        partition = self.world.partition(message.statement.header.subject)
        return self.refuse_record(partition, message.key, message.value, reason)

    def refuse_record(
        self, partition: int, key: bytes | None, value: bytes | None, reason: Reason, **changes: Any
    ) -> Rejected:
        """Deliver any record that must be refused for a reason, and change nothing."""
        before = self.net.replicas[partition].dump()
        outcome = self.net.deliver(partition, key, value, **changes)
        assert isinstance(outcome, Rejected), f"accepted, where {reason} was expected"
        assert outcome.reason == reason, f"{outcome.reason} ({outcome.detail}), where {reason} was expected"
        after = self.net.replicas[partition].dump()
        assert after == before | {"offset": outcome.offset + 1}, f"{reason} changed state"
        assert outcome.head == (value or b"")[:1024]
        return outcome
