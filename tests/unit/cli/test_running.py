from __future__ import annotations

import asyncio
import os
import signal

import pytest
import typer

from carenet.cli.running import run_until_interrupted


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_after_what_it_holds_was_let_go(number: signal.Signals, code: int) -> None:
    done = []

    async def command() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            done.append("stopped")

    with pytest.raises(typer.Exit) as raised:
        run_until_interrupted(command)
    assert (raised.value.exit_code, done) == (code, ["stopped"])


def test_a_second_signal_does_not_wait_for_what_is_slow_to_stop() -> None:
    async def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)

    with pytest.raises(typer.Exit):
        run_until_interrupted(command)


def test_what_goes_wrong_on_the_way_out_is_no_news_and_without_a_signal_it_is() -> None:
    async def interrupted() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            raise OSError("a server that was stopping")

    async def failing() -> None:
        raise OSError("a server that was not")

    with pytest.raises(typer.Exit):
        run_until_interrupted(interrupted)
    with pytest.raises(OSError, match="was not"):
        run_until_interrupted(failing)


def test_what_the_command_returns_is_returned() -> None:
    async def command() -> int:
        return 7

    assert run_until_interrupted(command) == 7
