"""How much one user may ask of each broker: bytes that it produces, and share of the broker's threads.

A broker holds who asks for more back (it answers later), and refuses nothing; an SDK's publisher just becomes slower.
Quotas are each broker's own: over three brokers a user gets three times as much. Bytes are counted as they travel:
a batch that was compressed counts as what it was compressed to.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from carenet.bus.security import KafkaAt
from carenet.bus.topics import TIMEOUT_S, open_admin

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user may ask of each broker.

    Attributes:
        produced_bytes_per_s: bytes a second that it produces.
        request_percent: share of one thread's time that its requests take; 100 is one thread.
    """

    produced_bytes_per_s: float
    request_percent: float


# About 7,000 events a second at each broker, of a body of 600 B; and at most half of one of its threads.
PARTICIPANT_QUOTA = Quota(8 * _MIB, 50)
UNLIMITED = Quota(2.0**53, 1e6)  # the protocol can only unset what was set, and then everyone's would hold


async def limit(at: KafkaAt, user: str | None, quota: Quota, timeout_s: float = TIMEOUT_S) -> None:
    """Set a user's quota.

    Args:
        at: Kafka, with the login of a super user.
        user: whose; None sets what holds for everyone who has no quota of his own.
        quota: how much.
        timeout_s: seconds for all of it.

    Raises:
        SetupError: the user may not set quotas.
        TransportError: Kafka does not answer.
    """
    values = {"producer_byte_rate": quota.produced_bytes_per_s, "request_percentage": quota.request_percent}
    changes = [(name, value, False) for name, value in values.items()]
    async with open_admin(at, timeout_s, "quotas") as admin:
        request = _AlterClientQuotas([([("user", user)], changes)])
        answer = await admin._send_to_controller(request)  # noqa: SLF001 - aiokafka has no call for it
        for code, message, _ in answer.entries:
            if code:
                raise for_code(code)(message)


# What follows is missing from aiokafka, which can only ask for quotas (Kafka protocol, AlterClientQuotas, version 0).
_ENTITY = Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))


class _AlterClientQuotasResponseV0(Response):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), ("entity", _ENTITY))),
    )


class _AlterClientQuotasRequestV0(RequestStruct):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterClientQuotasResponseV0
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", _ENTITY),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _AlterClientQuotas(Request[_AlterClientQuotasRequestV0]):  # type: ignore[misc] # aiokafka is untyped
    API_KEY = 49

    def __init__(self, entries: list[tuple[list[tuple[str, str | None]], list[tuple[str, float, bool]]]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[_AlterClientQuotasRequestV0]) -> _AlterClientQuotasRequestV0:
        return request_struct_class(self._entries, False)
