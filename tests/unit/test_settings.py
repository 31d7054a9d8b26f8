from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from carenet.settings import Settings, default_cache


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*Settings.model_fields, "XDG_CACHE_HOME"]:
        monkeypatch.delenv(name if name.isupper() else f"CARENET_{name.upper()}", raising=False)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings()
    assert (settings.dir, settings.kafka, settings.postgres) == (Path(".carenet"), None, None)
    assert settings.roles == ("timeline",)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARENET_DIR", "/state")
    monkeypatch.setenv("CARENET_KAFKA", "broker-1:9092,broker-2:9092")
    monkeypatch.setenv("CARENET_POSTGRES", "postgresql://carenet:pw@db.example:5432/carenet")
    monkeypatch.setenv("CARENET_ROLES", "timeline, agents,")
    monkeypatch.setenv("CARENET_LOG_LEVEL", "DEBUG")
    settings = Settings()
    assert settings.dir == Path("/state")
    assert settings.kafka == "broker-1:9092,broker-2:9092"
    assert str(settings.postgres) == "postgresql://carenet:pw@db.example:5432/carenet"
    assert settings.roles == ("timeline", "agents")
    assert settings.log_level == "debug"


def test_an_argument_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARENET_KAFKA", "broker:9092")
    assert Settings(kafka="other:9092").kafka == "other:9092"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CARENET_KAFKA", "broker"),
        ("CARENET_KAFKA", "broker:port"),
        ("CARENET_POSTGRES", "mysql://x"),
        ("CARENET_GATEWAY_PORT", "70000"),
        ("CARENET_LOG_LEVEL", "loud"),
        ("CARENET_NODE", "Has Space"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(pydantic.ValidationError):
        Settings()


def test_a_passphrase_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARENET_PASSPHRASE", "correct horse")
    settings = Settings()
    assert "horse" not in repr(settings)
    assert settings.passphrase is not None
    assert settings.passphrase.get_secret_value() == "correct horse"


def test_a_databases_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARENET_POSTGRES", "postgresql://carenet:hush@db.example:5432/carenet")
    assert "hush" not in repr(Settings()) + str(Settings())
    monkeypatch.setenv("CARENET_POSTGRES", "postgres!//carenet:hush@db.example:5432/carenet")
    with pytest.raises(pydantic.ValidationError) as caught:
        Settings()
    assert "postgres" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "carenet"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache() == Path("~/.cache/carenet").expanduser()
