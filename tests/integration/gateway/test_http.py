"""The GET endpoints beside the WebSocket, and the gateway as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from carenet.encoding.ids import encode_id
from carenet.gateway.server import Gateway
from carenet.local.ports import free_port
from tests.support.gatewayclient import Client, House

Enter = Callable[..., Awaitable[Client]]


async def get(url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    host, port = url.removeprefix("ws://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


async def test_health_says_how_far_the_log_is_applied(house: House, gateway: Gateway) -> None:
    (accepted,) = await house.accept(house.care())
    await asyncio.sleep(0.1)
    status, headers, body = await get(gateway.url, "/health")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"status": "ok", "applied": {"0": accepted.index + 1}, "halted": {}}


async def test_health_names_a_partition_that_the_node_no_longer_serves(house: House, gateway: Gateway) -> None:
    await house.store.save_halt(0, "the topic ends before what was folded")
    status, _, body = await get(gateway.url, "/health")
    assert (status, json.loads(body)["halted"]) == (200, {"0": "the topic ends before what was folded"})


async def test_metrics_count_sessions_pushes_and_requests(house: House, enter: Enter, gateway: Gateway) -> None:
    client = await enter(house.world.clinician)
    await client.ask("subscribe", subjects=[encode_id(house.patient.id)])
    await client.caught_up()
    (accepted,) = await house.accept(house.care())
    await client.until(lambda message: message.get("index") == accepted.index)
    await client.ask("dance")
    status, headers, body = await get(gateway.url, "/metrics")
    lines = body.decode().splitlines()
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert "carenet_gateway_sessions 1.0" in lines
    assert 'carenet_gateway_pushes_total{kind="live"} 1.0' in lines
    assert 'carenet_gateway_requests_total{result="unsupported",type="other"} 1.0' in lines
    assert f'carenet_gateway_applied{{partition="0"}} {accepted.index + 1}.0' in lines


async def test_the_latest_checkpoint_is_served_as_text(house: House, gateway: Gateway) -> None:
    assert (await get(gateway.url, "/checkpoint/0"))[0] == 404
    signed = await house.sign_checkpoint()
    status, headers, body = await get(gateway.url, "/checkpoint/0")
    assert (status, headers["Content-Type"], body.decode()) == (200, "text/plain; charset=utf-8", signed.note)
    assert (await get(gateway.url, "/checkpoint/1"))[0] == 404
    assert (await get(gateway.url, "/checkpoint/00"))[0] == 404


async def test_other_paths_are_not_found(gateway: Gateway) -> None:
    assert (await get(gateway.url, "/patients"))[0] == 404


async def test_the_gateway_as_a_process_ends_well_on_sigterm(house: House) -> None:
    port = free_port()
    env = os.environ | {"CARENET_POSTGRES": house.store.dsn, "CARENET_GATEWAY_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "carenet.gateway", env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        said = json.loads(await asyncio.wait_for(process.stderr.readline(), 20))
        assert (said["event"], said["url"]) == ("listening", f"ws://127.0.0.1:{port}")
        client = await Client.enter(said["url"], house.world.clinician)
        process.send_signal(signal.SIGTERM)
        assert await client.closed() == 4000
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_gateway_needs_a_database() -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith("CARENET_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "carenet.gateway", env=env, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert "CARENET_POSTGRES" in json.loads(said)["error"]
