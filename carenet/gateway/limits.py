"""What one client may cost the gateway, and how long things may take; sizes in bytes, times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

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
    ahead_s: float = 5.0
    proof_s: float = 15.0
    poll_s: float = 1.0
