"""The SDK's front: one participant's view of a network, through one gateway.

    async with carenet.connect("ws://127.0.0.1:7070", ".carenet/keys/alice.key") as care:
        outcome = await care.publish(patient, {"resourceType": "Observation", ...})
        async for update in care.watch(patient):
            print(update.seq, update.type, update.resource)

With `kafka=` statements go straight to Kafka; everything else is the same. What can be done is in the three parts that
`Care` joins: `publishing`, `people` and `patients`; watching is here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from carenet.bus.security import KafkaAt
from carenet.client import wire
from carenet.client.cursor import Cursor
from carenet.client.outcomes import Outcome
from carenet.client.parts import Options, open_parts
from carenet.client.patients import Patients
from carenet.client.people import People
from carenet.client.publishing import Publishing
from carenet.client.watch import Selection, Watch
from carenet.errors import TransportError
from carenet.sealing.identity import Identity
from carenet.sealing.keyfile import load_identity
from carenet.settings import Settings
from carenet.statements.genesis import Genesis


def connect(
    gateway: str, identity: Identity | Path | str, kafka: KafkaAt | None = None, options: Options | None = None
) -> Care:
    """Open a participant's view of its network: `async with carenet.connect(…) as care:`.

    Args:
        gateway: `ws://host:port` or `wss://host:port`.
        identity: the participant's keys, or its key file (`CARENET_PASSPHRASE` opens an encrypted one).
        kafka: `host:port` of Kafka, or how to log in there; None publishes through the gateway.
        options: see `Options`.

    Raises (on entering):
        KeyFileError: the key file cannot be read.
        TransportError: no gateway, or no Kafka, answers.
        RefusedError: the gateway does not know this participant, or it is suspended.
        BadInputError: the gateway serves another network, or answers at another origin.
    """
    if not isinstance(identity, Identity):
        passphrase = Settings().passphrase
        identity = load_identity(Path(identity), passphrase.get_secret_value() if passphrase else None)
    return Care(gateway, identity, kafka, options or Options())


class Care(Publishing, People, Patients):
    """See the module header; made by `connect`, an async context manager.

    Attributes:
        resumed: outcomes of what an earlier run had left in the spool.
    """

    def __init__(self, gateway: str, identity: Identity, kafka: KafkaAt | None, options: Options) -> None:
        self._gateway = gateway
        self._identity = identity
        self._kafka = kafka
        self._options = options
        self._stack = AsyncExitStack()
        self._watches: list[Watch] = []
        self.resumed: list[Outcome] = []

    def __repr__(self) -> str:
        return f"<Care {self._identity!r} at {self._gateway}>"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._parts = await open_parts(stack, self._gateway, self._identity, self._kafka, self._options)
            self._identity = self._parts.identity
            if self._options.resume:
                # What cannot be delivered stays in the spool; a server that is away is no reason not to watch.
                with contextlib.suppress(TransportError):
                    self.resumed = await self.resume()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for watch in self._watches:
            await watch.close()
        await self._stack.aclose()

    @property
    def identity(self) -> Identity:
        """Who this is."""
        return self._parts.identity

    @property
    def genesis(self) -> Genesis:
        """The network's constants."""
        return self._parts.trust.genesis

    @property
    def roles(self) -> tuple[str, ...]:
        """What this participant may sign, as the gateway says."""
        return self._parts.session.welcome.roles

    def watch(
        self,
        patients: str | bytes | Iterable[str | bytes] | None = None,
        *,
        types: Sequence[str] | None = None,
        compartments: Sequence[str] | None = None,
        cursor: Cursor | str | None = None,
    ) -> Watch:
        """Watch timelines: iterate the result; `.cursor` is the place to resume from.

        Args:
            patients: an id, several, or None for all that this participant may read, now and later.
            types: event types, each may end in `.*`.
            compartments: names.
            cursor: where to resume, as a `Cursor` or its text; None begins with the whole backlog.

        Raises:
            BadInputError: not an id, or not a cursor.
        """
        if isinstance(patients, str | bytes):
            patients = (patients,)
        selection = Selection(
            None if patients is None else tuple(map(wire.id_text, patients)),
            None if types is None else tuple(types),
            None if compartments is None else tuple(compartments),
        )
        place = Cursor.decode(cursor) if isinstance(cursor, str) else cursor
        watch = self._parts.watches.open(selection, place)
        self._watches.append(watch)
        return watch
