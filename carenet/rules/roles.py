"""The table of roles (roles.toml), read once: which roles may sign which types."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from carenet.rules.rows import ParticipantRow

EVERYONE, ORGANISATION = "@everyone", "@organisation"
AUTHORITY, NODE, CUSTODIAN = "authority", "node", "custodian"


@cache
def _table() -> dict[str, tuple[str, ...]]:
    text = files("carenet.rules").joinpath("roles.toml").read_text(encoding="utf-8")
    return {role: tuple(patterns) for role, patterns in tomllib.loads(text).items()}


@cache
def is_allowed(role: str, event_type: str) -> bool:
    """Whether the table lets a role sign a type."""
    return any(
        event_type == pattern or (pattern.endswith(".*") and event_type.startswith(pattern[:-1]))
        for pattern in _table().get(role, ())
    )


def roles_of(participant: ParticipantRow) -> tuple[str, ...]:
    """A participant's roles with the implied ones."""
    implied = (EVERYONE, ORGANISATION) if participant.may_give else (EVERYONE,)
    return participant.roles + implied


def may_sign(participant: ParticipantRow, event_type: str) -> bool:
    """Whether one of a participant's roles allows a type."""
    return any(is_allowed(role, event_type) for role in roles_of(participant))
