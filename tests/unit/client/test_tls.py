from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from carenet.client.tls import TlsTrust, explain, find_failure, make_context, trust_of
from carenet.errors import SetupError
from carenet.settings import Settings
from tests.support.certificates import Authority


def test_a_context_checks_names_and_speaks_tls_1_3_only(tmp_path: Path) -> None:
    for trust in (TlsTrust(), TlsTrust(Authority(tmp_path).file)):
        context = make_context(trust)
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_with_an_authority_of_ones_own_no_other_is_trusted(tmp_path: Path) -> None:
    context = make_context(TlsTrust(Authority(tmp_path).file))
    assert [each["subject"] for each in context.get_ca_certs()] == [((("commonName", "carenet test ca"),),)]


def test_a_file_that_is_not_what_it_should_be_is_named_with_its_setting(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for trust, setting in [
        (TlsTrust(empty), "CARENET_TLS_CA"),
        (TlsTrust(None, empty, empty), "CARENET_TLS_CLIENT_CERTIFICATE"),
        (TlsTrust(None, empty), "CARENET_TLS_CLIENT_KEY"),
    ]:
        with pytest.raises(SetupError, match=setting):
            make_context(trust)


def test_the_environment_says_whom_to_trust() -> None:
    settings = Settings(tls_ca=Path("ca"), tls_client_certificate=Path("own"), tls_client_key=Path("key"))
    assert trust_of(settings) == TlsTrust(Path("ca"), Path("own"), Path("key"))


def test_the_failure_is_found_behind_what_was_raised_for_it() -> None:
    failure = ssl.SSLError(1, "no")
    raised = EOFError()
    raised.__cause__ = failure
    assert find_failure(raised) is failure
    assert find_failure(ConnectionResetError()) is None
    assert find_failure(None) is None


def test_what_is_not_known_is_said_in_openssls_word() -> None:
    assert "SSLError" in explain(ssl.SSLError(1, "no"))
