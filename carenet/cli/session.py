"""A command's conversation with the gateway: signing in as `--as`, and names that the network knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from carenet.cli import folder
from carenet.cli.lines import NameBook
from carenet.cli.names import Named, resolve

if TYPE_CHECKING:
    from carenet.client.care import Care
    from carenet.sealing.identity import Identity

Result = TypeVar("Result")


def run(command: Coroutine[Any, Any, Result]) -> Result:
    """Run a command to its end; Ctrl-C cancels it and ends the program with 130."""
    return asyncio.run(command)
