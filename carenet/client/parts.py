"""The parts of one participant's view of a network, and how they are put together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from carenet.bus.publishing import Publisher as KafkaPublisher
from carenet.bus.security import KafkaAt
from carenet.client.carriers import Carrier, GatewayCarrier, KafkaCarrier
from carenet.client.delivery import Delivery
from carenet.client.directory import Directory
from carenet.client.grants import Grants
from carenet.client.keys import Keys
from carenet.client.pace import Pace
from carenet.client.session import Session
from carenet.client.spool import Spool, spool_path
from carenet.client.subjects import Subjects
from carenet.client.tls import TlsTrust, make_context, trust_of
from carenet.client.trust import Trust
from carenet.client.watches import Watches
from carenet.client.wrapping import Wrapper
from carenet.encoding.ids import encode_id
from carenet.sealing.identity import Identity
from carenet.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What a connection may be told.

    Attributes:
        spool: folder for the spool; None takes the one beside the key file's folder, or memory where there is none.
        patience_s: seconds that a call is tried again while a server is away.
        resume: whether what an earlier run left in the spool is delivered on connecting.
        window: how many deliveries `publish_many` has under way.
        tls: for a `wss://` gateway: whom we trust and our certificate; None takes them from `CARENET_TLS_…`.
        on_wait: told, when the node is behind and publishing waits, for how many seconds at least; 0.0 when it goes on.
    """

    spool: Path | None = None
    patience_s: float = 60.0
    resume: bool = True
    window: int = 256
    tls: TlsTrust | None = None
    on_wait: Callable[[float], None] | None = None


@dataclass(slots=True)
class Parts:
    """One participant's session with all that works on it.

    Attributes:
        options: as the caller set them.
        identity: who this is.
        session: the session with the gateway.
        trust: the network's constants, for proofs.
        directory: participants' proven keys.
        keys: this participant's epoch keys.
        subjects: proven epochs.
        delivery: publishing.
        wrapper: wrapping keys to readers.
        grants: access to patients.
        watches: subscriptions.
    """

    options: Options
    identity: Identity
    session: Session
    trust: Trust
    directory: Directory
    keys: Keys
    subjects: Subjects
    delivery: Delivery
    wrapper: Wrapper
    grants: Grants
    watches: Watches

    def take_identity(self, renewed: Identity) -> None:
        """Go on with other keys of the same participant."""
        self.identity = self.delivery.identity = self.keys.identity = renewed


async def open_parts(
    stack: AsyncExitStack, gateway: str, identity: Identity, kafka: KafkaAt | None, options: Options
) -> Parts:
    """Connect and put the parts together; the stack closes them.

    Raises:
        TransportError, RefusedError, BadInputError, SetupError: see `care.connect`.
    """
    context = make_context(options.tls or trust_of(Settings())) if gateway.startswith("wss:") else None
    pace = Pace(options.patience_s, options.window, options.on_wait)
    session = await stack.enter_async_context(Session(gateway, identity, options.patience_s, context, pace))
    identity = session.accepted_as
    trust = Trust(session.welcome.genesis)
    spool = stack.enter_context(Spool(_spool_path(options.spool, identity)))
    carrier: Carrier = GatewayCarrier(session)
    if kafka is not None:
        publisher = await stack.enter_async_context(KafkaPublisher(kafka, trust.genesis))
        carrier = KafkaCarrier(publisher, pace, options.patience_s)
    directory, keys, subjects = Directory(session, trust), Keys(identity, session), Subjects(session, trust, spool)
    delivery = Delivery(identity, session, carrier, subjects=subjects, spool=spool, trust=trust)
    wrapper = Wrapper(trust.network, directory)
    watches = Watches(session, trust, directory, keys, options.patience_s)
    return Parts(
        options=options,
        identity=identity,
        session=session,
        trust=trust,
        directory=directory,
        keys=keys,
        subjects=subjects,
        delivery=delivery,
        wrapper=wrapper,
        grants=Grants(delivery, wrapper, keys, subjects, watches.scan),
        watches=watches,
    )


def _spool_path(folder: Path | None, identity: Identity) -> Path | None:
    if folder is None and identity.path is not None:
        folder = identity.path.absolute().parent.parent / "spool"
    return None if folder is None else spool_path(folder, identity.name, encode_id(identity.id))
