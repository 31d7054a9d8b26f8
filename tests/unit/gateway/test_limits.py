from __future__ import annotations

import pytest

from carenet.gateway.limits import Limits, TokenBucket
from carenet.settings import Settings


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(per_s=10, burst=3, now_s=0)
    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0) == pytest.approx(0.1)
    assert bucket.take(0.05) == pytest.approx(0.05)
    assert bucket.take(0.101) == 0
    assert bucket.take(0.101) > 0


def test_a_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(per_s=10, burst=3, now_s=0)
    bucket.take(0)
    assert not bucket.is_full(0.05)
    assert bucket.is_full(1000)
    assert [bucket.take(1000) == 0 for _ in range(4)] == [True, True, True, False]


def test_the_settings_have_the_limits_defaults() -> None:
    settings, limits = Settings(), Limits()
    assert (settings.gateway_sessions, settings.gateway_sessions_each) == (limits.sessions, limits.sessions_each)
    assert settings.gateway_greeting == limits.greeting
    assert (settings.gateway_publish_rate, settings.gateway_publish_burst) == (
        limits.publish_per_s,
        limits.publish_burst,
    )
    assert settings.gateway_max_wait_s == limits.max_wait_s
