"""TLS and mTLS between the SDK and a gateway, on real sockets: who gets in, and what everyone else is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from carenet.client.connection import Connection
from carenet.client.tls import TlsTrust, make_context
from carenet.errors import CarenetError, SetupError, TransportError
from carenet.gateway.server import Gateway, GatewayConfig
from carenet.gateway.tls import TlsFiles
from carenet.local.probes import http_ok
from carenet.sealing.identity import Identity, create_identity
from tests.support.certificates import Authority
from tests.support.gatewayclient import House
from tests.support.waiting import until

Serve = Callable[[TlsFiles], Awaitable[Gateway]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest_asyncio.fixture(loop_scope="session")
async def serve(house: House) -> AsyncIterator[Serve]:
    """Starts a gateway behind TLS."""
    async with AsyncExitStack() as stack:

        async def start(files: TlsFiles) -> Gateway:
            return await stack.enter_async_context(Gateway(GatewayConfig(house.store.dsn, tls=files)))

        yield start


def files_of(authority: Authority, name: str = "gateway", *, mutual: bool = False, days: int = 30) -> TlsFiles:
    pair = authority.sign(name, "127.0.0.1", days=days)
    return TlsFiles(pair.certificate, pair.key, authority.file if mutual else None)


def somebody(house: House) -> Identity:
    """Nobody whom the network knows: whoever is told so has come through TLS."""
    return create_identity("somebody", house.world.network, 1)


async def meet(gateway: Gateway, who: Identity, trust: TlsTrust) -> CarenetError:
    """What a client is told; the gateway knows nobody here."""
    with pytest.raises(CarenetError) as caught:
        await Connection.open(gateway.url, who, 5, make_context(trust))
    return caught.value


def reasons(gateway: Gateway) -> dict[str, float]:
    """How often the gateway turned somebody away, by reason."""
    found = {}
    for family in gateway.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "carenet_gateway_refused_total":
                found[sample.labels["reason"]] = sample.value
    return found


async def test_a_client_that_trusts_the_authority_gets_through_to_the_challenge(
    house: House, serve: Serve, authority: Authority
) -> None:
    gateway = await serve(files_of(authority))
    assert gateway.url.startswith("wss://127.0.0.1:")
    assert "not_authenticated" in str(await meet(gateway, somebody(house), TlsTrust(ca=authority.file)))


async def test_the_get_endpoints_are_behind_the_same_tls(serve: Serve, authority: Authority) -> None:
    gateway = await serve(files_of(authority))
    port = int(gateway.url.rpartition(":")[2])
    context = make_context(TlsTrust(ca=authority.file))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"200"
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    writer.close()
    assert await http_ok("127.0.0.1", port, "/health", context)() is None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert not (await reader.read()).startswith(b"HTTP")
    writer.close()
    await until(lambda: reasons(gateway) == {"tls_plain": 1})


async def test_an_older_tls_is_not_spoken(serve: Serve, authority: Authority) -> None:
    gateway = await serve(files_of(authority))
    context = make_context(TlsTrust(ca=authority.file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]), ssl=context)
    await until(lambda: reasons(gateway) == {"tls_version": 1})


@pytest.mark.parametrize("fault", ["another authority", "another name", "expired"])
async def test_a_gateway_whose_certificate_does_not_hold_is_not_spoken_to(
    house: House, serve: Serve, authority: Authority, tmp_path: Path, fault: str
) -> None:
    files, trusted = files_of(authority), authority.file
    if fault == "another authority":
        trusted = Authority(tmp_path).file
    elif fault == "another name":
        pair = authority.sign("elsewhere", "gateway.example")
        files = TlsFiles(pair.certificate, pair.key)
    else:
        files = files_of(authority, "old", days=-2)
    gateway = await serve(files)
    error = await meet(gateway, somebody(house), TlsTrust(ca=trusted))
    assert isinstance(error, SetupError), "no retry mends it"
    words = {"another authority": "issuer", "another name": "IP address mismatch", "expired": "expired"}
    assert words[fault] in str(error)
    assert "CARENET_TLS_CA" in str(error)


async def test_the_gateway_says_when_a_client_does_not_trust_it(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    gateway = await serve(files_of(authority))
    port = int(gateway.url.rpartition(":")[2])
    context = make_context(TlsTrust(ca=Authority(tmp_path).file))

    def shake_hands() -> None:  # OpenSSL by itself sends its alert, which asyncio keeps to itself
        with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLError):
            context.wrap_socket(plain, server_hostname="127.0.0.1")

    with capture_logs() as logs:
        await asyncio.to_thread(shake_hands)
        await until(lambda: reasons(gateway) == {"tls_not_trusted": 1})
    assert "CARENET_TLS_CA" in logs[0]["advice"]


async def test_with_a_client_authority_a_client_needs_a_certificate_of_it(
    house: House, serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    gateway = await serve(files_of(authority, mutual=True))
    who = somebody(house)
    own = authority.sign("lab", client=True)
    assert "not_authenticated" in str(await meet(gateway, who, TlsTrust(authority.file, own.certificate, own.key)))
    with capture_logs() as logs:
        error = await meet(gateway, who, TlsTrust(authority.file))
        await until(lambda: reasons(gateway) == {"tls_no_client_certificate": 1})
    assert isinstance(error, SetupError)
    assert "CARENET_TLS_CLIENT_CERTIFICATE" in str(error)
    assert [each["advice"] for each in logs if "handshake" in each["event"]] == [
        "the client must set CARENET_TLS_CLIENT_CERTIFICATE"
    ]
    for count, pair in enumerate(
        [
            Authority(tmp_path, "other").sign("stranger", client=True),
            authority.sign("former", client=True, days=-2),
        ],
        1,
    ):
        error = await meet(gateway, who, TlsTrust(authority.file, pair.certificate, pair.key))
        assert isinstance(error, SetupError)
        assert "client certificate" in str(error)
        await until(lambda n=count: reasons(gateway).get("tls_client_certificate") == n)  # type: ignore[misc]


async def test_tls_and_plain_do_not_meet_and_both_sides_are_told_how_to(
    house: House, serve: Serve, gateway: Gateway, authority: Authority
) -> None:
    behind_tls = await serve(files_of(authority))
    with pytest.raises(TransportError, match="wss://"):
        await Connection.open(behind_tls.url.replace("wss:", "ws:"), somebody(house), 5)
    trust = make_context(TlsTrust(authority.file))
    with pytest.raises(TransportError, match=" ws://"):
        await Connection.open(gateway.url.replace("ws:", "wss:"), somebody(house), 5, trust)


async def test_a_failed_handshake_is_logged_once_in_a_while(house: House, serve: Serve, authority: Authority) -> None:
    gateway = await serve(files_of(authority, mutual=True))
    with capture_logs() as logs:
        for _ in range(3):
            await meet(gateway, somebody(house), TlsTrust(authority.file))
        await until(lambda: reasons(gateway) == {"tls_no_client_certificate": 3})
    assert len(logs) == 1
