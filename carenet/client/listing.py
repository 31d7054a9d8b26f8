"""Lists for people: participants, subjects and grants as the gateway tells them, without proofs.

Nothing is sealed, wrapped or believed on their account; `directory`, `subjects` and `access` are for that.
"""

from __future__ import annotations

from dataclasses import dataclass

from carenet.client import wire


@dataclass(frozen=True, slots=True)
class ListedParticipant:
    """A participant; ids as text."""

    id: str
    name: str
    organisation: str | None
    roles: tuple[str, ...]
    suspended: bool


@dataclass(frozen=True, slots=True)
class ListedSubject:
    """A subject that the asker may read, or is custodian of.

    Attributes:
        id: as text.
        kind: `patient` or `network`.
        partition: the log that holds it.
        next_seq: how many entries its chain has.
        custodian: whether the asker is its custodian.
    """

    id: str
    kind: str
    partition: int
    next_seq: int
    custodian: bool


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """An active grant; the fields are those of `grant.give`, `from_seq` the place of the entry that gave it."""

    grantee: str
    actions: tuple[str, ...]
    compartments: tuple[str, ...]
    history: bool
    from_seq: int
    until_ms: int | None
    purpose: str


def read_participants(answer: wire.Message) -> list[ListedParticipant]:
    """The answer to `describe {participants}`.

    Raises:
        EncodingError: malformed; likewise below.
    """
    return [
        ListedParticipant(
            id=wire.id_text(wire.read_id(told, "participant")),
            name=wire.read_text(told, "name"),
            organisation=None if told.get("organisation") is None else wire.id_text(wire.read_id(told, "organisation")),
            roles=wire.read_texts(told, "roles"),
            suspended=told.get("suspended") is True,
        )
        for told in wire.read_maps(answer, "participants")
    ]


def read_subjects(answer: wire.Message) -> list[ListedSubject]:
    """The answer to `describe {subjects}`."""
    return [
        ListedSubject(
            id=wire.id_text(wire.read_id(told, "subject")),
            kind=wire.read_text(told, "kind"),
            partition=wire.read_int(told, "partition"),
            next_seq=wire.read_int(told, "next_seq"),
            custodian=told.get("custodian") is True,
        )
        for told in wire.read_maps(answer, "subjects")
    ]


def read_grants(answer: wire.Message) -> list[ListedGrant]:
    """The answer to `grants {subject}`."""
    return [
        ListedGrant(
            grantee=wire.id_text(wire.read_id(told, "grantee")),
            actions=wire.read_texts(told, "actions"),
            compartments=wire.read_texts(told, "compartments"),
            history=told.get("history") is True,
            from_seq=wire.read_int(told, "from_seq"),
            until_ms=None if told.get("until_ms") is None else wire.read_int(told, "until_ms"),
            purpose=wire.read_text(told, "purpose"),
        )
        for told in wire.read_maps(answer, "grants")
    ]
