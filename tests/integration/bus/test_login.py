"""Clients that prove themselves by a certificate, on a real broker that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from carenet.bus.acls import allow, participant_acls
from carenet.bus.publishing import Producer
from carenet.bus.security import KafkaLogin
from carenet.bus.topics import provision, topics_of
from carenet.errors import SetupError, TransportError
from carenet.local.kafka import EmbeddedKafka
from carenet.local.ports import free_port
from tests.support.certificates import Authority, Pair
from tests.support.world import World

GENESIS = World().genesis


class MutualKafka(EmbeddedKafka):
    """A broker with one listener more, at which only holders of a certificate are let in.

    Args:
        directory: its folder.
        authority: whose certificates count.
    """

    def __init__(self, directory: Path, authority: Authority) -> None:
        super().__init__(directory)
        self.authority = authority
        self.tls_port = free_port()

    def login(self, pair: Pair) -> KafkaLogin:
        """With a certificate."""
        at = f"127.0.0.1:{self.tls_port}"
        return KafkaLogin(at, ca=self.authority.file, certificate=pair.certificate, key=pair.key)

    def _choose_properties(self, *, forget: bool) -> str:
        text = super()._choose_properties(forget=forget)
        own = self.authority.sign("broker", "127.0.0.1")
        store = self.authority.file.with_name("store.pem")
        store.write_bytes(b"".join(each.read_bytes() for each in (own.key, own.certificate, self.authority.file)))
        plain = f"PLAINTEXT://{self.bootstrap}"
        text = text.replace(plain, f"{plain},SSL://127.0.0.1:{self.tls_port}")
        text = text.replace("=PLAINTEXT:PLAINTEXT,", "=SSL:SSL,PLAINTEXT:PLAINTEXT,")
        return f"""{text}
ssl.keystore.type=PEM
ssl.keystore.location={store}
ssl.truststore.type=PEM
ssl.truststore.location={self.authority.file}
ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mutual(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MutualKafka]:
    """With the topics of a network, and rules for the laboratory's certificate."""
    folder = tmp_path_factory.mktemp("mutual")
    async with MutualKafka(folder, Authority(folder / "pem")) as broker:
        await provision(broker.bootstrap, topics_of(GENESIS, "north"))
        await allow(broker.bootstrap, participant_acls(GENESIS, "CN=lab"))
        yield broker


async def test_a_certificates_name_is_who_one_is(mutual: MutualKafka) -> None:
    async with Producer(mutual.login(mutual.authority.sign("lab", client=True))) as producer:
        assert (await producer.send(GENESIS.topic, 0, b"key", b"value")).offset == 0
    with pytest.raises(SetupError, match="access rules"):
        async with Producer(mutual.login(mutual.authority.sign("stranger", client=True))) as producer:
            await producer.send(GENESIS.topic, 0, b"key", b"value")


async def test_a_certificate_of_another_authority_is_told_from_a_broker_of_another(
    mutual: MutualKafka, tmp_path: Path
) -> None:
    other = Authority(tmp_path)
    with pytest.raises(TransportError, match="or not take our certificate"):
        async with Producer(mutual.login(other.sign("lab", client=True))):
            raise AssertionError("must not be entered")
    with pytest.raises(SetupError, match=r"ca\.pem does not vouch for"):
        async with Producer(KafkaLogin(f"127.0.0.1:{mutual.tls_port}", ca=other.file)):
            raise AssertionError("must not be entered")
