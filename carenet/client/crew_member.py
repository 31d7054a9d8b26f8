"""One process of a `crew`: reads its publisher's keys and then jobs from a pipe, and writes the letters back.

Started by `crew` as `python -m carenet.client.crew_member`. Any failure ends it: `crew` does the job again where the
error can be told.
"""

from __future__ import annotations

import pickle  # what is read was written by the publisher that started us, through a pipe that nobody else holds
import signal
import sys
from typing import BinaryIO

from carenet.client.building import build_care_batch
from carenet.client.crew import LENGTH_BYTES, READY


def work(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Build until the pipe ends."""
    identity = pickle.load(jobs)  # noqa: S301 - see the import
    _answer(answers, READY)
    while True:
        try:
            drafts, epochs, now_s, signing = pickle.load(jobs)  # noqa: S301 - see the import
        except EOFError:
            return
        letters = build_care_batch(drafts, epochs, identity, now_s, signing)
        _answer(answers, pickle.dumps(letters, pickle.HIGHEST_PROTOCOL))


def _answer(answers: BinaryIO, data: bytes) -> None:
    answers.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the publisher's to handle; then our pipe ends
    work(sys.stdin.buffer, sys.stdout.buffer)
