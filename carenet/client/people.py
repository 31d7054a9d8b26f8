"""Participants, as a part of `care.Care`: admitting, rotating and suspending them, and looking them up."""

from __future__ import annotations

from collections.abc import Sequence

from carenet.client import wire
from carenet.client.directory import Participant
from carenet.client.drafts import Control
from carenet.client.listing import ListedParticipant, read_participants
from carenet.client.outcomes import Accepted, Outcome
from carenet.client.parts import Parts
from carenet.client.registry import apply_for_admission, apply_for_rotation
from carenet.client.session import expect_reply
from carenet.sealing.identity import Identity
from carenet.statements.payloads import Admit, Suspend
from carenet.statements.shape import Shape


class People:
    """What an authority, an organisation or a participant says about participants."""

    _parts: Parts

    async def admit(
        self,
        applicant: Identity | Admit,
        roles: Sequence[str] = (),
        *,
        organisation: str | bytes | None = None,
        may_give: Sequence[str] = (),
    ) -> Accepted:
        """Admit a participant, as the authority or as its organisation.

        Args:
            applicant: its keys where they are at hand, or the admission that it agreed to elsewhere
                (`registry.apply_for_admission`); the other arguments belong to the first form.
            roles: what it may sign.
            organisation: the organisation that it belongs to.
            may_give: roles that it, as an organisation, may give to its own members.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        house = None if organisation is None else wire.id_of(organisation)
        if isinstance(applicant, Identity):
            applicant = apply_for_admission(
                applicant, self._parts.identity.id, roles, organisation=house, may_give=may_give
            )
        return (await self._publish_about_network("participant.admit", applicant)).or_raise()

    async def rotate(self, renewed: Identity) -> Accepted:
        """Go over to new keys: one's own, or those of a member.

        Args:
            renewed: `identity.rotated()`, already saved: a crash in between must not lose the keys.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        payload = apply_for_rotation(renewed, self._parts.identity.id)
        is_own = renewed.id == self._parts.identity.id
        if is_own:  # the gateway cuts us off when it applies the rotation, perhaps before we asked what became of it
            self._parts.session.identity = renewed
        accepted = (await self._publish_about_network("participant.rotate", payload)).or_raise()
        if is_own:
            self._parts.take_identity(renewed)
            await self._parts.session.renew(renewed)
        return accepted

    async def suspend(self, participant: str | bytes) -> Accepted:
        """Suspend a participant (and with it every member of it).

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        payload = Suspend(wire.id_of(participant))
        return (await self._publish_about_network("participant.suspend", payload)).or_raise()

    async def participant(self, participant: str | bytes) -> Participant:
        """A participant with its proven keys.

        Raises:
            RefusedError: the gateway knows none of this id.
            ProofError: the gateway's answer does not hold.
        """
        return await self._parts.directory.refresh(wire.id_of(participant))

    async def participants(self) -> list[ListedParticipant]:
        """All participants, as the gateway tells them."""
        return read_participants(expect_reply(await self._parts.session.ask("describe", participants=True)))

    async def _publish_about_network(self, event_type: str, payload: Shape) -> Outcome:
        return await self._parts.delivery.deliver(Control(self._parts.trust.network, event_type, payload))
