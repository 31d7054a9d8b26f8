"""A timeline is a list of accepted lines; whatever anybody wants to know is found by reading it from the beginning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from carenet.encoding.cose import compute_thumbprint
from carenet.statements.genesis import Genesis
from carenet.statements.statement import Statement
from tests.support.model.naive_tree import naive_root, sha256


def epoch_id(public: bytes) -> bytes:
    """The first 16 bytes of the public key's hash."""
    return sha256(public)[:16]


@dataclass(frozen=True)
class Line:
    """An accepted statement in a partition's timeline."""

    statement: Statement
    body: bytes | None
    seq: int
    entry: bytes

    @property
    def subject(self) -> bytes:
        """What it is about."""
        return self.statement.header.subject

    @property
    def type(self) -> str:
        """Its event type."""
        return self.statement.header.type

    @property
    def said(self) -> dict[str, Any]:
        """Its payload."""
        return self.statement.control


@dataclass
class Person:
    """A participant as a timeline tells it."""

    id: bytes
    organisation: bytes | None
    roles: list[str]
    may_give: list[str]
    sign: bytes
    hpke: bytes | None
    had: list[bytes] = field(default_factory=list)
    suspended: bool = False


@dataclass
class Grant:
    """A grant as a timeline tells it."""

    grantee: bytes
    actions: list[str]
    compartments: list[str]
    history: bool
    begins: int
    until_ms: int | None
    ends: int | None = None

    def is_active(self, now_ms: int) -> bool:
        """Whether it has neither been withdrawn nor expired."""
        return self.ends is None and (self.until_ms is None or now_ms < self.until_ms)


def grant_of(said: dict[str, Any], seq: int) -> Grant:
    """The grant that a payload of grant.give makes."""
    return Grant(said["grantee"], said["actions"], said["compartments"], said["history"], seq, said["until_ms"])


def end_grants(grants: list[Grant], grantee: bytes, seq: int) -> None:
    """What a withdrawal does."""
    for grant in grants:
        if grant.grantee == grantee and grant.ends is None:
            grant.ends = seq


class Timeline:
    """One partition's accepted lines in log order, and what they tell."""

    def __init__(self, genesis: Genesis, lines: list[Line] | None = None) -> None:
        self.genesis, self.network = genesis, genesis.network_id
        self.lines = lines or []

    def root(self) -> bytes:
        """The root of the log's tree."""
        return naive_root([line.entry for line in self.lines])

    def of(self, subject: bytes) -> list[Line]:
        """The lines of one subject."""
        return [line for line in self.lines if line.subject == subject]

    def people(self) -> dict[bytes, Person]:
        """Participants by id."""
        people = {}
        for key in self.genesis.authorities:
            people[key.id] = Person(key.id, None, ["authority"], [], key.sign, None)
        for node in self.genesis.nodes:
            people[node.id] = Person(node.id, None, ["node"], [], node.sign, None)
        for line in self.of(self.network):
            said = line.said
            if line.type == "participant.admit":
                who = compute_thumbprint(said["sign"])
                people[who] = Person(
                    who, said["organisation"], said["roles"], said["may_give"], said["sign"], said["hpke"]
                )
            elif line.type == "participant.rotate":
                person = people[said["participant"]]
                person.had.append(compute_thumbprint(person.sign))
                person.sign, person.hpke = said["sign"], said["hpke"] or person.hpke
            else:
                people[said["participant"]].suspended = True
        return people

    def is_suspended(self, who: bytes) -> bool:
        """Whether a participant or its organisation is."""
        people = self.people()
        house = people[who].organisation
        return people[who].suspended or (house in people and people[house].suspended)

    def opening(self, subject: bytes) -> dict[str, Any] | None:
        """What opened a patient's timeline, or None."""
        lines = self.of(subject)
        return lines[0].said if lines and lines[0].type == "subject.open" else None

    def epochs(self, subject: bytes) -> dict[str, list[tuple[bytes, int]]]:
        """By compartment, each epoch's id and the seq of the entry that began it."""
        epochs: dict[str, list[tuple[bytes, int]]] = {}
        for line in self.of(subject):
            for compartment, public in line.said.get("epochs", {}).items():
                epochs.setdefault(compartment, []).append((epoch_id(public), line.seq))
        return epochs

    def grants(self, subject: bytes) -> list[Grant]:
        """All grants, ended ones too."""
        grants: list[Grant] = []
        for line in self.of(subject):
            if line.type == "grant.give":
                grants.append(grant_of(line.said, line.seq))
            elif line.type == "grant.withdraw":
                end_grants(grants, line.said["grantee"], line.seq)
        return grants

    def decider(self, subject: bytes) -> bytes | None:
        """The first custodian that is not suspended."""
        opening = self.opening(subject)
        return next((each for each in opening["custodians"] if not self.is_suspended(each)), None) if opening else None

    def may_read(self, reader: bytes, subject: bytes, seq: int, now_ms: int) -> bool:
        """Whether a reader may be sent entry `seq` of a subject at this head."""
        line, opening = self.of(subject)[seq], self.opening(subject)
        assert opening is not None
        if reader in opening["custodians"]:
            return True
        compartment = line.statement.header.compartment
        for grant in self.grants(subject):
            mine = grant.grantee == reader and "read" in grant.actions and grant.is_active(now_ms)
            covers = compartment is None or compartment in grant.compartments
            if mine and covers and (grant.history or grant.begins <= seq):
                return True
        return False
