"""When statements may be sent: at once, or when the node has caught up.

A gateway says `slow_down` (or refuses a statement as `overloaded`) with the seconds after which trying again makes
sense. Until then no care data is sent, over whatever way; then the senders go on, fewer at a time: each hold halves how
many may be sending at once, and each that gets through adds a little, as TCP does. Control statements do not ask here.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

from carenet.errors import TransportError

MAX_HOLD_S = 60.0  # whatever a gateway asks for
_SPREAD = 1.25


def spread(wait_s: float) -> float:
    """Between once and 1.25 times what was asked: those who were told to wait do not come back all at once."""
    return wait_s * random.uniform(1, _SPREAD)  # noqa: S311 - spreads load, keeps no secret


class _Turn:
    """One turn; a class, since each statement takes one, and a generator's context manager costs more."""

    __slots__ = ("_begin", "_end")

    def __init__(self, begin: Callable[[], Awaitable[None]], end: Callable[[], None]) -> None:
        self._begin = begin
        self._end = end

    async def __aenter__(self) -> None:
        await self._begin()

    async def __aexit__(self, *_: object) -> None:
        self._end()


class Pace:
    """See the module header.

    Args:
        patience_s: seconds for which a sender waits while nobody gets through.
        window: most senders at a time.
        on_wait: told the seconds when a hold begins or goes on, and 0.0 when it is over.
    """

    def __init__(
        self, patience_s: float = 60.0, window: int = 256, on_wait: Callable[[float], None] | None = None
    ) -> None:
        self._patience_s = patience_s
        self._most = float(window)
        self._window = float(window)
        self._on_wait = on_wait
        self._under_way = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._release: asyncio.TimerHandle | None = None
        self._got_through = 0

    def __repr__(self) -> str:
        state = "held" if self.is_held else "open"
        return f"<Pace {state}: {self._under_way} of {self._window:.0f} under way, {len(self._queue)} waiting>"

    @property
    def is_held(self) -> bool:
        """Whether nothing may be sent now."""
        return self._release is not None

    @property
    def is_unhindered(self) -> bool:
        """Whether no hold is felt any more: then many may be sent at once, without a turn for each."""
        return not self.is_held and not self._queue and self._window >= self._most

    def hold(self, retry_after_s: float) -> None:
        """Let nobody begin for a while; 0 ends a hold."""
        if retry_after_s <= 0:
            self._go_on()
            return
        if self._release is None:
            self._window = max(1.0, self._window / 2)
        else:
            self._release.cancel()
        wait_s = min(retry_after_s, MAX_HOLD_S)
        self._release = asyncio.get_running_loop().call_later(spread(wait_s), self._go_on)
        self._tell(wait_s)

    def turn(self) -> _Turn:
        """Wait for a turn to send, first come first served, and take it for the block: `async with pace.turn():`.

        Raises (on entering):
            TransportError: nobody got through within the patience.
        """
        return _Turn(self._begin, self._end)

    async def _begin(self) -> None:
        if self.is_held or self._queue or self._under_way >= int(self._window):
            await self._wait()
        else:
            self._under_way += 1

    def _end(self) -> None:
        self._under_way -= 1
        self._admit()

    def note_success(self) -> None:
        """A statement got through."""
        self._got_through += 1
        self._window = min(self._most, self._window + 1 / self._window)

    async def _wait(self) -> None:
        """Returns with the turn counted in `_under_way`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            while not turn.done():
                before = self._got_through
                await asyncio.wait((turn,), timeout=self._patience_s)
                if not turn.done() and self._got_through == before:
                    raise TransportError(
                        f"the node is behind, and nothing got through for {self._patience_s:g} s: try again later"
                    )
        except BaseException:
            if turn.done():  # it was given to us, and we do not take it
                self._under_way -= 1
                self._admit()
            else:
                self._queue.remove(turn)
            raise

    def _go_on(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None
            self._tell(0.0)
        self._admit()

    def _admit(self) -> None:
        while self._queue and not self.is_held and self._under_way < int(self._window):
            self._under_way += 1
            self._queue.popleft().set_result(None)

    def _tell(self, wait_s: float) -> None:
        if self._on_wait is not None:
            self._on_wait(wait_s)
