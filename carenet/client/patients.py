"""Patients, as a part of `care.Care`: registering them, giving and withdrawing access, looking them up."""

from __future__ import annotations

from collections.abc import Sequence

from carenet.client import wire
from carenet.client.access import Access
from carenet.client.grants import Terms
from carenet.client.listing import ListedGrant, ListedSubject, read_grants, read_subjects
from carenet.client.outcomes import Accepted
from carenet.client.parts import Parts
from carenet.client.registry import Standing, draft_opening
from carenet.client.session import expect_reply
from carenet.client.subjects import Epoch, Subject
from carenet.client.wrapping import private_halves
from carenet.encoding.ids import encode_id
from carenet.fhir.compartments import COMPARTMENTS


class Patients:
    """What a custodian, or a holder of `manage`, says about patients."""

    _parts: Parts

    async def register_patient(
        self,
        custodians: Sequence[str | bytes] | None = None,
        *,
        write: Sequence[str] = ("lab", "pharmacy"),
        emergency: bool = True,
    ) -> str:
        """Open a patient's timeline.

        Args:
            custodians: who holds its keys, the deciding one first; None is this participant alone.
            write: roles that may write unasked.
            emergency: whether emergency access is allowed.

        Returns:
            The patient's id as text.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        holders = tuple(wire.id_of(each) for each in custodians or (self._parts.identity.id,))
        opening = await draft_opening(
            Standing(holders, tuple(write), emergency), self._parts.identity, self._parts.wrapper
        )
        accepted = (await self._parts.delivery.deliver(opening.draft)).or_raise()
        for name, keys in opening.epochs.items():
            self._parts.subjects.learn(opening.draft.subject, Epoch(name, keys.id, keys.public, accepted.entry.seq))
        if self._parts.identity.id in holders:
            self._parts.keys.keyring.add(private_halves(opening.epochs))
            self._parts.grants.note_opened(opening.access(accepted.digest))
        return encode_id(opening.draft.subject)

    async def grant(
        self,
        patient: str | bytes,
        grantee: str | bytes,
        actions: Sequence[str] = ("read",),
        compartments: Sequence[str] = COMPARTMENTS,
        *,
        history: bool = True,
        until_ms: int | None = None,
        purpose: str = "treatment",
    ) -> Accepted:
        """Give a grant, with the keys that it needs.

        Args:
            patient: the patient's id.
            grantee: the participant's id.
            actions: of `read`, `write`, `manage`.
            compartments: key scopes.
            history: whether earlier entries are included; without, the next epochs begin.
            until_ms: when it ends by itself, ms since 1970.
            purpose: purpose of use, a name.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        scope = tuple(actions), tuple(compartments)
        return await self._parts.grants.give(
            wire.id_of(patient), Terms(wire.id_of(grantee), *scope, history, until_ms, purpose)
        )

    async def withdraw(self, patient: str | bytes, grantee: str | bytes) -> Accepted:
        """End a grantee's access, and begin the next epoch of all that it could read.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        return await self._parts.grants.withdraw(wire.id_of(patient), wire.id_of(grantee))

    async def begin_epochs(
        self, patient: str | bytes, compartments: Sequence[str] = COMPARTMENTS, *, trigger: bytes | None = None
    ) -> Accepted:
        """Rotate epochs, after a grant expired or a reader was suspended.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        return await self._parts.grants.begin_epochs(wire.id_of(patient), compartments, trigger)

    async def share_missing_keys(self, patient: str | bytes, *, trigger: bytes | None = None) -> int:
        """Send readers the keys that they may hold and were never sent; how many statements it took.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        return await self._parts.grants.share_missing(wire.id_of(patient), trigger)

    async def access(self, patient: str | bytes) -> Access:
        """Who may read a patient and who holds which keys, folded from the entries that this participant may read.

        Raises:
            RefusedError: not a reader.
        """
        return await self._parts.grants.fetch_access(wire.id_of(patient))

    async def patient(self, patient: str | bytes) -> Subject:
        """A patient's custodians, standing choices and proven epochs.

        Raises:
            RefusedError: the gateway knows none of this id.
            ProofError: the gateway's answer does not hold.
        """
        return await self._parts.subjects.describe(wire.id_of(patient))

    async def patients(self) -> list[ListedSubject]:
        """The subjects that this participant may read or is custodian of, as the gateway tells them."""
        return read_subjects(expect_reply(await self._parts.session.ask("describe", subjects=True)))

    async def grants(self, patient: str | bytes) -> list[ListedGrant]:
        """Active grants on a patient, as the gateway tells them: all to custodians, to others their own."""
        return read_grants(expect_reply(await self._parts.session.ask("grants", subject=wire.id_text(patient))))
