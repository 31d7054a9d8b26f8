"""What one client may cost the gateway, and how long things may take; sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from carenet.errors import PushbackError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The gateway's bounds; nothing that a client causes is kept beyond them.

    Attributes:
        max_frame: of one incoming message; a record of 900 KiB in base64 fits.
        max_hello: of the one message before anybody has said who it is; a `hello` has 300 bytes.
        queue_bytes: frames waiting for one session's socket; beyond it the reader is too slow (4001). The largest
            push is 1.3 MiB, and a burst of a whole care team's updates fits many times.
        queue_frames: the same, as a count.
        stall_s: how long one frame may wait for the socket; shorter than a keepalive's patience, so that a client
            that never reads is told 4001.
        requests: answers that one session may be waiting for; more closes it (4008). A publisher's window fits.
        request_bytes: of those requests together; beyond it the gateway reads no further until some are answered.
        hello_s: from connecting to a right answer to the challenge.
        close_s: for a closing handshake, after which the connection is dropped.
        sessions: of all participants together; beyond it connections are turned away (503).
        sessions_each: of one participant; beyond it a further one is closed (4008). A ward has a screen for each bed.
        greeting: connections that have not said yet who they are; beyond it more are turned away (503), and beyond
            twice as many cut off before they have said a word.
        gets_per_s: GETs of `/metrics` and `/checkpoint` that are answered, of all who ask together; beyond it 429.
        gets_burst: of them, at once.
        questions: of one session that are worked on at once; further ones wait for their turn.
        publish_per_s: statements that one participant may publish through this gateway; beyond it `rate_limited`.
        publish_burst: of them, at once.
        max_wait_s: how long what is published now may have to wait for its decision; beyond it care data is
            `overloaded`.
        ahead_s: how long a resuming cursor may be ahead of what this gateway has applied.
        proof_s: how long an answer waits for a checkpoint that covers what it proves.
        poll_s: how often the gateway looks into the tables when nothing is announced.
    """

    max_frame: int = 2 * MIB
    max_hello: int = 4096
    queue_bytes: int = 8 * MIB
    queue_frames: int = 4096
    stall_s: float = 10.0
    requests: int = 4096
    request_bytes: int = 8 * MIB
    hello_s: float = 10.0
    close_s: float = 5.0
    sessions: int = 10_000
    sessions_each: int = 1_000
    greeting: int = 1_000
    gets_per_s: float = 50
    gets_burst: float = 100
    questions: int = 64
    publish_per_s: float = 2_000
    publish_burst: float = 4_000
    max_wait_s: float = 2.0
    ahead_s: float = 5.0
    proof_s: float = 15.0
    poll_s: float = 1.0


class TurnedAwayError(PushbackError):
    """This gateway says: later.

    Args:
        reason: a code of docs/formats.md, section 11.
        detail: what to do.
        retry_after_s: whole seconds, at least 1.
    """

    def __init__(self, reason: str, detail: str, retry_after_s: int) -> None:
        super().__init__(detail, retry_after_s)
        self.reason = reason
        self.detail = detail


class TokenBucket:
    """So many a second, and so many at once after a pause.

    Args:
        per_s: tokens that are added each second.
        burst: most tokens that it holds, and holds at first.
        now_s: seconds that only grow.
    """

    __slots__ = ("_at_s", "_burst", "_per_s", "_tokens")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, now_s: float) -> float:
        """Take a token: 0, or, with none taken, the seconds until there is one."""
        self._fill(now_s)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_s

    def is_full(self, now_s: float) -> bool:
        """Whether it is as a new one would be."""
        self._fill(now_s)
        return self._tokens == self._burst

    def _fill(self, now_s: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
