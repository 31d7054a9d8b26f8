"""Publishing, as a part of `care.Care`: resources, many of them, control statements, retractions."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from carenet.client import wire
from carenet.client.bulk import CareEvent, Tally, run_chunked
from carenet.client.crew import Crew
from carenet.client.drafts import Care, Control, draft_resource
from carenet.client.outcomes import Accepted, Outcome
from carenet.client.parts import Parts
from carenet.statements.payloads import Retract
from carenet.statements.shape import Shape


class Publishing:
    """What a participant says about patients."""

    _parts: Parts

    async def publish(
        self,
        patient: str | bytes,
        resource: dict[str, Any] | bytes | str,
        *,
        cti: bytes | None = None,
        replaces: bytes | None = None,
        compartment: str | None = None,
    ) -> Outcome:
        """Seal, sign and publish one FHIR R4 resource, and wait for its outcome.

        Args:
            patient: the patient's id, as text or 32 bytes.
            resource: FHIR JSON, sealed in the bytes that came; a dict is written as compact JSON.
            cti: 16 bytes that name the event for this publisher: the same again is the one event. None draws them.
            replaces: digest of the statement that this one corrects.
            compartment: None takes the one that the table says.

        Returns:
            `Accepted` or `Refused`; branch by `outcome.accepted`.

        Raises:
            ResourceError: not FHIR JSON, or too large.
            TransportError: undecided within the patience; the spool keeps it and `resume` goes on.
        """
        draft = draft_resource(wire.id_of(patient), resource, cti, replaces, compartment)
        return await self._parts.delivery.deliver(draft)

    async def publish_many(
        self,
        events: Iterable[CareEvent] | AsyncIterable[CareEvent],
        on_outcome: Callable[[CareEvent, Outcome], None] | None = None,
    ) -> Tally:
        """Publish many resources, `Options.window` of them at a time, begun in their order.

        Where they come faster than they are decided, they are signed in batches, and sealed in further processes once
        there were some thousands; those end with the call.

        Args:
            events: what to publish.
            on_outcome: told of each as it is decided.

        Raises:
            As `publish`; what was under way is in the spool.
        """
        tally = Tally()
        async with Crew() as crew:

            async def publish(chunk: list[CareEvent], done: Callable[[], None]) -> None:
                def note(place: int, outcome: Outcome) -> None:
                    done()
                    tally.count(outcome)
                    if on_outcome is not None:
                        on_outcome(chunk[place], outcome)

                await self._parts.delivery.deliver_all([_draft(event) for event in chunk], crew.build, note)

            await run_chunked(events, publish, self._parts.options.window)
        return tally

    async def resume(self) -> list[Outcome]:
        """Deliver what earlier runs left in the spool.

        Raises:
            TransportError: undecided within the patience.
        """
        return await self._parts.delivery.resume()

    async def control(
        self,
        subject: str | bytes,
        event_type: str,
        payload: Shape,
        body: bytes | None = None,
        *,
        trigger: bytes | None = None,
    ) -> Outcome:
        """Sign and publish a control statement whose payload the caller has built.

        Args:
            subject: id as text or 32 bytes.
            event_type: such as `grant.give`.
            payload: its model (`carenet.statements.payloads`).
            body: what the payload names by its hash.
            trigger: digest of the statement that this one reacts to.

        Raises:
            TransportError: undecided within the patience.
        """
        return await self._parts.delivery.deliver(
            Control(wire.id_of(subject), event_type, payload, body, trigger=trigger)
        )

    async def retract(
        self, patient: str | bytes, digest: bytes, compartment: str, reason: str = "entered-in-error"
    ) -> Accepted:
        """Retract care data of one's own, or of a colleague's in the same organisation.

        Args:
            patient: the patient's id.
            digest: of the statement that should not have been written.
            compartment: the one it lies in.
            reason: `entered-in-error`, `wrong-patient` or `superseded`.

        Raises:
            RefusedError: the rules said no.
            TransportError: undecided within the patience.
        """
        subject = wire.id_of(patient)
        draft = Control(subject, "care.retract", Retract(reason), compartment=compartment, replaces=digest)
        return (await self._parts.delivery.deliver(draft)).or_raise()


def _draft(event: CareEvent) -> Care:
    return draft_resource(wire.id_of(event.patient), event.resource, event.cti, event.replaces, event.compartment)
