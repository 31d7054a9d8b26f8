"""carenet: signed care events on Kafka, folded into a replicated, hash-chained patient timeline.

`carenet.connect` is the SDK's front (`carenet.client.care`); it is loaded when first used, so that importing a pure
room loads no I/O library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carenet.client.care import connect

__all__ = ["connect"]


def __getattr__(name: str) -> Any:
    """Load `connect` when it is asked for (PEP 562)."""
    if name != "connect":
        raise AttributeError(f"module 'carenet' has no attribute {name!r}")
    from carenet.client.care import connect as loaded  # noqa: PLC0415 - the point of this function

    return loaded
