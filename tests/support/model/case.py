"""The checks that every statement passes, in the order of ARCHITECTURE section 5, up to the type's own transition."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from carenet.encoding.cose import compute_thumbprint
from carenet.errors import StatementError
from carenet.statements.payloads import PAYLOADS
from carenet.statements.statement import Statement
from tests.support.model.naive_tree import sha256
from tests.support.model.timeline import Person, Timeline, epoch_id

WRAPPING = ("grant.give", "grant.withdraw", "epoch.begin", "key.share")
NETWORK = ("participant.admit", "participant.rotate", "participant.suspend")


@cache
def _roles() -> dict[str, list[str]]:
    return tomllib.loads(files("carenet.rules").joinpath("roles.toml").read_text(encoding="utf-8"))


@dataclass
class Case:
    """One statement before a timeline, its faults step by step in the order of the checks."""

    timeline: Timeline
    statement: Statement
    body: bytes | None
    now_ms: int

    def __post_init__(self) -> None:
        self.header = self.statement.header
        self.type = self.header.type
        self.said = self.statement.control
        self.people = self.timeline.people()
        self.is_network = self.header.subject == self.timeline.network
        self.lines = self.timeline.of(self.header.subject)
        self.signer = self.people.get(self.header.issuer)

    def steps(self) -> Iterator[Iterator[str]]:
        """The checks before the transition, each as the reasons for which it refuses."""
        yield self._repeated()
        yield self._signer()
        yield self._fresh()
        yield self._body()
        yield self._idempotent()
        yield self._subject()
        yield self._payload()
        yield self._role()
        yield self._permission()
        yield self._compartment()
        yield self._reaction()
        yield self._epoch()

    def _repeated(self) -> Iterator[str]:
        if any(line.statement.digest == self.statement.digest for line in self.lines):
            yield "duplicate"

    def _signer(self) -> Iterator[str]:
        if self.signer is None:
            yield "unknown_signer"
        elif self.timeline.is_suspended(self.signer.id):
            yield "suspended"
        elif self.header.kid in self.signer.had:
            yield "stale_key"
        elif self.header.kid != compute_thumbprint(self.signer.sign):
            yield "wrong_kid"
        elif not self.statement.is_signed_by(self.signer.sign):
            yield "bad_signature"

    def _fresh(self) -> Iterator[str]:
        iat_ms = self.header.iat_s * 1000
        if iat_ms < self.now_ms - 60 * 60 * 1000:
            yield "too_old"
        if iat_ms > self.now_ms + 5 * 60 * 1000:
            yield "future"

    def _body(self) -> Iterator[str]:
        named = self.said.get("body") if self.statement.is_control else self.statement.payload
        if named is None and self.body is not None:
            yield "body_unexpected"
        elif named is not None and self.body is None:
            yield "body_missing"
        elif named is not None and self.body is not None and sha256(self.body) != named:
            yield "body_mismatch"

    def _idempotent(self) -> Iterator[str]:
        for line in self.lines:
            used = line.statement.header
            if (used.issuer, used.cti) == (self.header.issuer, self.header.cti):
                yield "duplicate" if used.tag is not None and used.tag == self.header.tag else "conflicting_id"

    def _subject(self) -> Iterator[str]:
        if self.type == "subject.open":
            if self.is_network or self.lines:
                yield "subject_exists"
        elif self.is_network:
            if self.type not in NETWORK:
                yield "unknown_type"
        elif not self.lines:
            yield "unknown_subject"
        elif self.type not in WRAPPING and not self.type.startswith("care."):
            yield "unknown_type"

    def _payload(self) -> Iterator[str]:
        model = PAYLOADS.get(self.type)
        if (model is not None) != self.statement.is_control:
            yield "bad_payload"
        elif model is not None:
            try:
                model.parse(self.said)
            except StatementError:
                yield "bad_payload"

    def _role(self) -> Iterator[str]:
        assert self.signer is not None
        roles = [*self.signer.roles, "@everyone", *(["@organisation"] if self.signer.may_give else [])]
        patterns = [pattern for role in roles for pattern in _roles().get(role, [])]
        if not any(fnmatchcase(self.type, pattern) for pattern in patterns):
            yield "role_forbids"

    def _permission(self) -> Iterator[str]:
        assert self.signer is not None
        if self.is_network:
            yield from self._network_permission(self.signer)
        elif self.type.startswith("care."):
            opening = self.timeline.opening(self.header.subject)
            assert opening is not None
            unasked = set(opening["write"]) & set(self.signer.roles)
            if not unasked and not self._holds("write", self.header.compartment):
                yield "no_grant"
        elif self.type in {"grant.give", "grant.withdraw"}:
            if self.timeline.decider(self.header.subject) != self.signer.id and not self._holds("manage", None):
                yield "not_decider"
        elif self.type in {"epoch.begin", "key.share"}:
            opening = self.timeline.opening(self.header.subject)
            assert opening is not None
            if self.signer.id not in opening["custodians"] and not self._holds("manage", None):
                yield "not_decider"

    def _network_permission(self, signer: Person) -> Iterator[str]:
        if "authority" in signer.roles:
            return
        if self.type == "participant.admit":
            if self.said["organisation"] != signer.id:
                yield "not_decider"
            if not set(self.said["roles"]) <= set(signer.may_give) or self.said["may_give"]:
                yield "role_not_given"
            return
        target = self.people.get(self.said["participant"])
        own = self.type == "participant.rotate" and target is signer
        if target is not None and not own and target.organisation != signer.id:
            yield "not_decider"

    def _holds(self, action: str, compartment: str | None) -> bool:
        assert self.signer is not None
        mine = {self.signer.id, self.signer.organisation}
        return any(
            grant.grantee in mine
            and action in grant.actions
            and grant.is_active(self.now_ms)
            and (compartment is None or compartment in grant.compartments)
            for grant in self.timeline.grants(self.header.subject)
        )

    def _compartment(self) -> Iterator[str]:
        if self.type.startswith("care."):
            if self.header.compartment not in self.timeline.epochs(self.header.subject):
                yield "unknown_compartment"
        elif self.header.compartment is not None:
            yield "unknown_compartment"

    def _reaction(self) -> Iterator[str]:
        for line in self.lines:
            if self.header.trigger is None or line.statement.header.trigger != self.header.trigger:
                continue
            if self.type == line.type == "epoch.begin" and set(line.said["epochs"]) & set(self.said["epochs"]):
                yield "already_done"
            if self.type == line.type == "key.share":
                part = (line.statement.header.issuer, line.said.get("part", 0))
                if part == (self.header.issuer, self.said.get("part", 0)):
                    yield "already_done"

    def _epoch(self) -> Iterator[str]:
        epochs = self.timeline.epochs(self.header.subject)
        if not self.statement.is_control:
            compartment = self.header.compartment
            if compartment is not None and self.header.epoch != epochs[compartment][-1][0]:
                yield "stale_epoch"
            return
        if self.header.epoch is not None and not self.is_network:
            yield "bad_payload"
        if self.type not in WRAPPING:
            return
        if len({self.said.get(part) is None for part in ("to", "brings", "body")}) != 1:
            yield "bad_payload"
        brought, begun = set(self.said.get("brings", [])), self.said.get("epochs", {})
        ever = {each for known in epochs.values() for each, _ in known}
        if brought - ever - {epoch_id(public) for public in begun.values()}:
            yield "unknown_epoch"
        for compartment, known in epochs.items():
            ids = [each for each, _ in known]
            if compartment not in begun and brought & set(ids) and ids[-1] not in brought:
                yield "stale_epoch"
