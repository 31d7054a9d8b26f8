"""What a broker of ours is told, as `server.properties`: one alone and open, or one of several with accounts.

Several brokers are a small copy of production: each is broker and controller, everything is kept three times and
written twice before it counts, clients log in with SCRAM-SHA-512, and an authorizer refuses what no rule allows. The
wire is plain, since it never leaves 127.0.0.1.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from carenet.local.kafka_accounts import ADMIN, CLUSTER_FOLDER, Accounts

SAFE_BROKERS = 3  # the fewest of which one may die; 1 is for a machine of one's own


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one broker listens on 127.0.0.1.

    Attributes:
        broker: for clients and the other brokers.
        controller: for the controllers among themselves.
    """

    broker: int
    controller: int


@dataclass(frozen=True, slots=True)
class Seat:
    """A broker's place among several.

    Attributes:
        number: which one it is, from 1.
        ports: of all of them, in their order.
        cluster: what they are together.
        accounts: who may log in; brokers know one another as the admin, a super user.
    """

    number: int
    ports: tuple[Ports, ...]
    cluster: uuid.UUID
    accounts: Accounts

    @property
    def own_ports(self) -> Ports:
        """Where this one listens."""
        return self.ports[self.number - 1]

    @property
    def folder(self) -> str:
        """Its folder, seen from the state folder."""
        return f"{CLUSTER_FOLDER}/{self.number}"


def lone_properties(ports: Ports, gather_s: float = 0.0) -> str:
    """For a broker that is alone, and asks nobody who it is.

    Args:
        ports: where it listens.
        gather_s: how long the first member of an empty consumer group waits for others before it is given partitions.
    """
    return _LONE.format(broker=ports.broker, controller=ports.controller) + _common(gather_s)


def seat_properties(seat: Seat) -> str:
    """For one of several; has the admin's password in it."""
    own, password = seat.own_ports, seat.accounts.admin
    voters = ",".join(f"{number}@127.0.0.1:{each.controller}" for number, each in enumerate(seat.ports, 1))
    login = f'required username="{ADMIN}" password="{password}"'
    head = _SEAT.format(
        number=seat.number, voters=voters, broker=own.broker, controller=own.controller, admin=ADMIN, login=login,
        user=f'user_{ADMIN}="{password}"',
    )  # fmt: skip
    return head + _common(0.0)


def _common(gather_s: float) -> str:
    return _COMMON + f"group.initial.rebalance.delay.ms={gather_s * 1000:.0f}\n"


_LONE = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
default.replication.factor=1
min.insync.replicas=1
# After kill -9 the controller refuses the same broker until its session ends: 9 s by default.
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

_SEAT = """\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=CLIENTS://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{broker}
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule {login};
# Controllers know one another before any account can be read from what they keep.
sasl.mechanism.controller.protocol=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule {login} {user};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin}
default.replication.factor=3
min.insync.replicas=2
# A killed broker's partitions get other leaders after this; shorter, and a busy machine's pauses look like deaths.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# All of them stop together: none is left to hand its partitions to.
controlled.shutdown.enable=false
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
"""

_COMMON = """\
log.dirs=data
# History is never thrown away by default, and nobody makes a topic by a typing error.
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
log.retention.bytes=-1
unclean.leader.election.enable=false
num.partitions=1
# Consumer groups: short sessions allowed, few partitions to load; behind all of this, no wait for members unless asked.
group.min.session.timeout.ms=500
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
# A small machine.
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=2
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.threads=1
"""
