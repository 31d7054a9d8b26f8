from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from carenet.bus.security import KafkaLogin, bootstrap_of, client_options, environment_of, login_of
from carenet.errors import SetupError
from carenet.settings import Settings
from tests.support.certificates import Authority

_AT = "kafka-1.example:9092,kafka-2.example:9092"


def test_a_plain_address_is_all_that_an_open_kafka_takes() -> None:
    assert client_options(_AT) == {"bootstrap_servers": _AT}
    assert client_options(KafkaLogin(_AT)) == {"bootstrap_servers": _AT, "security_protocol": "PLAINTEXT"}
    assert bootstrap_of(_AT) == bootstrap_of(KafkaLogin(_AT)) == str(KafkaLogin(_AT)) == _AT


def test_a_user_name_means_scram_and_an_authority_means_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("node", client=True)
    tls = KafkaLogin(_AT, ca=authority.file)
    mutual = KafkaLogin(_AT, ca=authority.file, certificate=pair.certificate, key=pair.key)
    both = KafkaLogin(_AT, "node", "hush", authority.file)
    assert [each.protocol for each in (tls, mutual, both)] == ["SSL", "SSL", "SASL_SSL"]
    for login in (tls, mutual, both):
        context = client_options(login)["ssl_context"]
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
    assert client_options(KafkaLogin(_AT, "node", "hush")) == {
        "bootstrap_servers": _AT,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "node",
        "sasl_plain_password": "hush",
    }


def test_half_of_a_login_is_refused(tmp_path: Path) -> None:
    for half in ({"username": "node"}, {"password": "hush"}, {"certificate": tmp_path}, {"key": tmp_path}):
        with pytest.raises(SetupError, match="or neither"):
            KafkaLogin(_AT, **half)  # type: ignore[arg-type]
    with pytest.raises(SetupError, match=r"\(ca\)"):
        KafkaLogin(_AT, certificate=tmp_path, key=tmp_path)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    wrong = tmp_path / "wrong.pem"
    with pytest.raises(SetupError, match=r"wrong\.pem is no PEM file of a certificate authority: No such file"):
        KafkaLogin(_AT, ca=wrong).make_ssl_context()
    wrong.write_text("not PEM")
    with pytest.raises(SetupError, match=r"wrong\.pem is no PEM file"):
        KafkaLogin(_AT, ca=wrong).make_ssl_context()
    with pytest.raises(SetupError, match="no PEM pair"):
        KafkaLogin(_AT, ca=authority.file, certificate=wrong, key=wrong).make_ssl_context()


def test_no_password_is_shown() -> None:
    assert "hush" not in repr(KafkaLogin(_AT, "node", "hush")) + str(KafkaLogin(_AT, "node", "hush"))
    assert "hush" not in repr(Settings(kafka=_AT, kafka_username="node", kafka_password=SecretStr("hush")))


def test_settings_and_environment_say_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert login_of(Settings()) is None
    files = tmp_path / "ca.pem", tmp_path / "own.pem", tmp_path / "own.key"
    for login in (KafkaLogin(_AT), KafkaLogin(_AT, "node", "hush"), KafkaLogin(_AT, "node", "hush", *files)):
        with monkeypatch.context() as patch:
            for name, value in environment_of(login).items():
                patch.setenv(name, value)
            assert login_of(Settings()) == login
    assert environment_of(_AT) == {"CARENET_KAFKA": _AT}
    with pytest.raises(SetupError, match="password"):
        login_of(Settings(kafka=_AT, kafka_username="node"))
