"""A command's conversation with the gateway: signed in as `--as`, with the names that people use.

A participant is meant by the name of a key in DIR/keys first, so that nobody who was admitted under the same name is
taken for it; then by the names that the network knows. A patient is meant by its nickname here or by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from carenet.cli import folder
from carenet.cli.lines import NameBook
from carenet.cli.names import Named, resolve
from carenet.cli.screen import Screen
from carenet.encoding.ids import decode_id
from carenet.errors import NotFoundError

if TYPE_CHECKING:
    from carenet.client.care import Care
    from carenet.client.parts import Options
    from carenet.sealing.identity import Identity

Result = TypeVar("Result")


def run(command: Coroutine[Any, Any, Result]) -> Result:
    """Run a command to its end; Ctrl-C cancels it, and the program ends with 130."""
    return asyncio.run(command)


@dataclass(slots=True)
class Desk:
    """Where a command works.

    Attributes:
        directory: DIR.
        identity: who signs.
        care: the SDK, connected.
        book: names to show.
    """

    directory: Path
    identity: Identity
    care: Care
    book: NameBook = field(default_factory=NameBook)

    async def find_participant(self, typed: str) -> Named:
        """The participant that is meant.

        Raises:
            NotFoundError: none, or several.
        """
        key = folder.list_key_files(self.directory).get(typed)
        if key is not None:
            return Named(typed, folder.load_identity(self.directory, str(key)).id)
        return resolve(typed, await self.list_participants(), "participant")

    async def find_patient(self, typed: str) -> Named:
        """The patient that is meant.

        Raises:
            NotFoundError: none, or several.
        """
        nicknames = self.nicknames()
        try:
            return resolve(typed, nicknames, "patient")
        except NotFoundError:
            return resolve(typed, nicknames + await self.list_patients(), "patient")

    def is_authority(self) -> bool:
        """Whether the signer is one of the genesis's authorities."""
        return any(each.id == self.identity.id for each in self.care.genesis.authorities)

    def nicknames(self) -> list[Named]:
        """The patients that were registered from here."""
        return folder.read_nicknames(self.directory, self.identity.network)

    async def list_participants(self) -> list[Named]:
        """All participants by name."""
        return [Named(each.name, decode_id(each.id)) for each in await self.care.participants()]

    async def list_patients(self) -> list[Named]:
        """The subjects that the signer may read or keeps, with the nicknames that they have here."""
        names = {each.id: each.name for each in self.nicknames()}
        found = [decode_id(each.id) for each in await self.care.patients() if each.kind == "patient"]
        return [Named(names.get(each, ""), each) for each in found]

    async def learn_names(self) -> NameBook:
        """The book, with everyone that is known now."""
        self.book.learn(self.nicknames())
        self.book.learn(await self.list_participants())
        return self.book


@asynccontextmanager
async def sign_in(directory: Path, typed: str, options: Options | None = None) -> AsyncIterator[Desk]:
    """Connect to the gateway that runs in DIR as an identity.

    Args:
        directory: DIR.
        typed: what stands behind `--as`.
        options: for the SDK.

    Raises:
        SetupError: nothing runs in DIR.
        NotFoundError, KeyFileError: no such key, or it cannot be read.
        RefusedError: the network does not know this key, or has suspended it.
        TransportError: no gateway answers.
    """
    from carenet.client.care import connect

    identity = folder.load_identity(directory, typed)
    async with connect(folder.find_gateway(directory), identity, options=options) as care:
        if care.resumed:
            Screen().note(f"{len(care.resumed)} statements that an earlier run had not finished were delivered")
        yield Desk(directory, identity, care)
