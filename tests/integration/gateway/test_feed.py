"""What is read whole and what lean, and that nobody loses or doubles anything by it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from carenet.encoding.ids import encode_id
from carenet.gateway.feed import Feed, load_authority
from carenet.gateway.messages import Message, Shared
from carenet.gateway.metrics import Metrics
from carenet.gateway.outcomes import Outcomes
from carenet.gateway.push import Pusher
from carenet.gateway.watch import Cursor, Interest, Since, Watch
from carenet.store.store import Store
from carenet.store.stored import LeanEntry, StoredEntry
from tests.support.actors import Actor
from tests.support.gatewayclient import Client, House, raw

Enter = Callable[..., Awaitable[Client]]


class KnownStore(Store):
    """Keeps what the feed has read."""

    fed: list[StoredEntry | LeanEntry]
    read_again: list[StoredEntry]

    async def read_fed(self, *args: Any) -> list[StoredEntry | LeanEntry]:
        page = await super().read_fed(*args)
        self.fed.extend(page)
        return page

    async def read_entries_at(self, *args: Any) -> list[StoredEntry]:
        found = await super().read_entries_at(*args)
        self.read_again.extend(found)
        return found


@dataclass(eq=False)
class Line:
    """A session that keeps what it is pushed."""

    participant: bytes
    sign: bytes
    watch: Watch
    has_room: bool = True
    pushed: list[Message] = field(default_factory=list)

    def push(self, shared: Shared) -> None:
        self.pushed.append(shared.message)

    def tell(self, message: Message) -> None:
        raise AssertionError(message)

    def wake(self) -> None:
        raise AssertionError("nothing is behind")

    def end(self, code: int, reason: str) -> None:
        raise AssertionError((code, reason))


class CalledPusher(Pusher):
    """Lets somebody have the next turn once so much of partition 0 was applied."""

    calls: tuple[int, Callable[[], None]]

    def pass_over(self, run: Any) -> None:
        super().pass_over(run)
        self._call()

    def take(self, entry: StoredEntry) -> None:
        super().take(entry)
        self._call()

    def _call(self) -> None:
        head, call = self.calls
        if self._authority.heads[0] == head:
            asyncio.get_running_loop().call_soon(call)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> type[KnownStore]:
    """The store of gateways that are opened from here on."""
    KnownStore.fed, KnownStore.read_again = [], []
    monkeypatch.setattr("carenet.gateway.server.Store", KnownStore)
    return KnownStore


async def watch(enter: Enter, who: Actor, house: House) -> Client:
    client = await enter(who)
    answer = await client.ask("subscribe", subjects=[encode_id(house.patient.id)])
    assert answer["type"] == "subscribed", answer
    await client.caught_up()
    return client


async def has_entry(client: Client, index: int) -> dict[str, Any]:
    return await client.until(lambda message: message.get("index") == index)


async def test_what_nobody_here_watches_is_read_without_its_body(
    known: type[KnownStore], house: House, enter: Enter
) -> None:
    client = await watch(enter, house.world.clinician, house)
    await house.accept(house.give(house.world.clinician, house.other))
    for _ in range(3):
        await house.accept(house.care(house.other))
        message = house.care()
        (accepted,) = await house.accept(message)
        assert raw((await has_entry(client, accepted.index))["body"]) == message.body
    fed = [each for each in known.fed if each.type.startswith("care.")]
    assert {type(each) for each in fed if each.subject == house.other.id} == {LeanEntry}
    # The first had to be asked for; from then on they come with the first question.
    assert [type(each) for each in fed if each.subject == house.patient.id] == [LeanEntry, StoredEntry, StoredEntry]
    assert len(known.read_again) == 1


async def test_what_is_watched_no_longer_is_soon_read_without_its_body(
    known: type[KnownStore], house: House, enter: Enter
) -> None:
    client = await watch(enter, house.world.clinician, house)
    custodian = await enter(house.world.hospital)
    (first,) = await house.accept(house.care())
    await has_entry(client, first.index)
    await client.socket.close()
    for _ in range(3):
        (accepted,) = await house.accept(house.care())
        await custodian.ask("outcomes", partition=0, offset=accepted.offset)
    assert [type(each) for each in known.fed[-3:]] == [StoredEntry, LeanEntry, LeanEntry]


async def test_who_waits_and_who_follows_is_told_of_what_was_read_lean(
    known: type[KnownStore], house: House, enter: Enter
) -> None:
    clinician = await enter(house.world.clinician)
    await clinician.ask("outcomes", follow=True)
    waiting = await clinician.begin("outcomes", partition=0, offset=house.next_offset)
    await asyncio.sleep(0.1)
    message = house.care()
    (accepted,) = await house.accept(message)
    told = (await clinician.answer(waiting))["outcome"]["accepted"]
    followed = await clinician.until(lambda each: each["type"] == "outcome")
    assert isinstance(known.fed[-1], LeanEntry)
    assert told == followed["outcome"]["accepted"]
    assert (told["index"], told["seq"]) == (accepted.index, accepted.entry.seq)
    assert raw(told["digest"]) == raw(followed["digest"]) == message.statement.digest
    assert raw(told["entry"]) == accepted.entry.encode()


async def test_a_withdrawal_far_into_a_page_holds_between_two_entries(
    house: House, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_WHOLE", 2), ("_BREATH_PASSED", 3)):
        monkeypatch.setattr(f"carenet.gateway.feed.{name}", value)
    await house.accept(house.give(house.world.clinician, house.other))
    client = await watch(enter, house.world.clinician, house)
    custodian = await watch(enter, house.world.hospital, house)
    crowd = [[house.care(house.other) for _ in range(10)] for _ in range(3)]
    story = [*crowd[0], house.care(), *crowd[1], house.withdraw(house.world.clinician), *crowd[2], house.care(epoch=1)]
    accepted = await house.accept(*story)
    before, withdrawal, after = accepted[10], accepted[21], accepted[32]
    await has_entry(custodian, after.index)
    withdrawn = await client.until(lambda message: message["type"] == "withdrawn")
    assert client.entries()[-1] == before.index
    assert withdrawn["at"] == {"0": withdrawal.index + 1}
    assert custodian.entries()[-3:] == [before.index, withdrawal.index, after.index]


async def _feed_to_whom_comes_at(house: House, applied: int) -> tuple[list[Message], list[StoredEntry]]:
    """A page of twelve entries, and somebody who watches from a place in it on: what it is pushed, and the page."""
    authority, offsets = await load_authority(house.store, 1)
    pusher, begin = CalledPusher(authority, Metrics()), authority.heads[0]
    who = house.world.clinician
    line = Line(who.id, who.key.public, Watch(who.id, authority))

    def come() -> None:
        pusher.join(line)
        line.watch.begin(Interest(frozenset([house.patient.id])))
        line.watch.finish(Cursor({0: authority.heads[0]}), Since(), house.world.clock_ms)

    pusher.calls = begin + applied, come
    await house.accept(*(house.care(each) for each in [house.other, house.patient, house.other, house.patient] * 3))
    feed = Feed(house.store, authority, pusher, Outcomes(house.store, offsets), 10.0)
    work = asyncio.create_task(feed.run())
    await feed.wait_for({0: begin + 12}, 10.0)
    work.cancel()
    await asyncio.wait({work})
    return line.pushed, await house.store.read_entries(0, begin, 100)


async def test_who_begins_to_watch_between_two_entries_of_a_page_gets_all_that_follow(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_BREATH", "_BREATH_PASSED"):
        monkeypatch.setattr(f"carenet.gateway.feed.{name}", 1)  # others have their turn after each entry
    await house.accept(house.give(house.world.clinician, house.other))
    for applied in range(1, 13):
        pushed, page = await _feed_to_whom_comes_at(house, applied)
        due = [each for each in page[applied:] if each.subject == house.patient.id]
        assert [(each["index"], each["body"]) for each in pushed] == [(each.index, each.body) for each in due]


@contextlib.asynccontextmanager
async def busy(house: House) -> AsyncIterator[None]:
    """Small commits one after the other, most of it of the patient that nobody watches."""

    async def commit() -> None:
        while True:
            await house.accept(*(house.care(each) for each in (*[house.other] * 4, house.patient, house.other)))

    work = asyncio.create_task(commit())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})
        if not work.cancelled():
            work.result()


async def test_who_subscribes_while_a_page_is_read_or_applied_loses_and_doubles_nothing(
    known: type[KnownStore], house: House, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_BREATH", "_BREATH_PASSED"):
        monkeypatch.setattr(f"carenet.gateway.feed.{name}", 1)  # others have their turn after each entry
    await house.accept(house.give(house.world.clinician, house.other))
    clients = []
    async with busy(house):
        for _ in range(15):
            # Who subscribes waits for the end of a page, at which the feed reads the next: both go on together.
            client = await watch(enter, house.world.clinician, house)
            newest = client.entries()[-1]
            await client.until(lambda message, due=newest + 12: message.get("index", 0) > due)  # type: ignore[misc]
            await client.socket.close()  # nobody is left: the feed reads lean again
            clients.append(client)
    timeline = [each.index for each in await house.store.read_subject_entries(0, house.patient.id, 0, 10_000)]
    for client in clients:
        got = client.entries()
        assert got == timeline[: len(got)]
    assert known.read_again, "nobody came between the reading of an entry and its turn"
