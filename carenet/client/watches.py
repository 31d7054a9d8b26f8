"""Subscriptions of one participant, each on a connection of its own; and reading a subject's control entries once."""

from __future__ import annotations

import asyncio

from carenet.client.access import CONTROL_TYPES, Access
from carenet.client.connection import Connection
from carenet.client.cursor import Cursor
from carenet.client.directory import Directory
from carenet.client.keys import Keys
from carenet.client.opening import Opener
from carenet.client.session import CONNECT_TIMEOUT_S, Session
from carenet.client.trust import Trust
from carenet.client.updates import CaughtUp, Update
from carenet.client.watch import Selection, Watch
from carenet.encoding.ids import encode_id
from carenet.errors import TransportError


class Watches:
    """Makes subscriptions.

    Args:
        session: names gateway and identity.
        trust: the network's constants.
        directory: issuers' proven keys.
        keys: this participant's epoch keys.
        patience_s: seconds that `scan` may take.
    """

    def __init__(self, session: Session, trust: Trust, directory: Directory, keys: Keys, patience_s: float) -> None:
        self._session = session
        self._trust = trust
        self._directory = directory
        self._keys = keys
        self._patience_s = patience_s

    def open(self, selection: Selection, cursor: Cursor | None) -> Watch:
        """A subscription, which connects when it is first iterated."""
        return Watch(selection, self._dial, Opener(self._trust.network, self._directory, self._keys), cursor)

    async def scan(self, access: Access) -> None:
        """Bring an access state up to date with the subject's control entries; their wraps are taken in on the way.

        Raises:
            RefusedError: this participant may not read the subject.
            TransportError: not within the patience.
        """
        patient = encode_id(access.subject)
        cursor = Cursor(access.at, {patient: access.next_seq}) if access.at else None
        try:
            async with (
                asyncio.timeout(self._patience_s),
                self.open(Selection((patient,), CONTROL_TYPES), cursor) as watch,
            ):
                while True:
                    event = await watch.next_event()
                    if isinstance(event, Update):
                        access.apply(event.statement, event.seq)
                    elif isinstance(event, CaughtUp) and event.everything:
                        access.at = watch.cursor.at
                        return
        except TimeoutError as exc:
            raise TransportError(f"no control entries within {self._patience_s:g} s") from exc

    async def _dial(self) -> Connection:
        return await Connection.open(
            self._session.url, self._session.identity, CONNECT_TIMEOUT_S, self._session.context
        )
