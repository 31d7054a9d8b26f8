from __future__ import annotations

from pathlib import Path

import pytest

from carenet.errors import SetupError
from carenet.local.own import _probing_context, _told
from tests.support.certificates import Authority


def test_without_certificates_a_gateway_is_asked_without_tls() -> None:
    assert _probing_context(_told({})) is None


def test_a_gateway_that_wants_certificates_is_asked_with_ours(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("up", client=True)
    told = {"CARENET_TLS_CERTIFICATE": "gateway.pem", "CARENET_TLS_CLIENT_CA": str(authority.file)}
    with pytest.raises(SetupError, match="CARENET_TLS_CLIENT_CERTIFICATE"):
        _probing_context(_told(told))
    told |= {"CARENET_TLS_CLIENT_CERTIFICATE": str(pair.certificate), "CARENET_TLS_CLIENT_KEY": str(pair.key)}
    assert _probing_context(_told(told)) is not None
