from __future__ import annotations

from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.gateway.tls import TlsFiles, make_context, read_files
from tests.support.certificates import Authority

HERE = Path("certificate.pem")


def test_no_files_are_no_tls_and_half_of_them_are_a_mistake() -> None:
    assert read_files(None, None, None) is None
    assert read_files(HERE, HERE, None) == TlsFiles(HERE, HERE)
    for certificate, key, client_ca in [(HERE, None, None), (None, HERE, None), (None, None, HERE)]:
        with pytest.raises(SetupError, match="CARENET_TLS_KEY"):
            read_files(certificate, key, client_ca)


@pytest.mark.parametrize("fault", ["no file", "no PEM", "another's key", "no authority"])
def test_a_file_that_is_not_what_it_should_be_is_named_with_its_setting(tmp_path: Path, fault: str) -> None:
    authority = Authority(tmp_path)
    own, other = authority.sign("gateway", "127.0.0.1"), authority.sign("other", "127.0.0.1")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    files = {
        "no file": TlsFiles(tmp_path / "missing.pem", own.key),
        "no PEM": TlsFiles(own.certificate, empty),
        "another's key": TlsFiles(own.certificate, other.key),
        "no authority": TlsFiles(own.certificate, own.key, empty),
    }[fault]
    setting = "CARENET_TLS_CLIENT_CA" if fault == "no authority" else "CARENET_TLS_CERTIFICATE"
    with pytest.raises(SetupError, match=setting):
        make_context(files, lambda _: None)
