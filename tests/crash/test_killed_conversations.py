"""`kill -9` while calls dial, talk, are in a room, are monitored, or on hold.

```
phone A             server                         phone B
  |== speech =========|============================>|
  |                 kill -9                         |
  |                 restart: legs, rings, spools    |
  |<-- BYE -----------|-- BYE --------------------->|
  |                   |-- ended, once a block, to the application
  |                   |-- monitor (ended, monitor_url)
```

Each call is of an application of its own, so that its charges and notifications are told apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import soundfile

from tests.crash import facts
from tests.crash.test_killed_processes import next_call_works, room_for_calls
from tests.functional.calls import waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.database import further_legs
from voiceblocks.recordings.model import RecordingKind
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing.answering import RingForever
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.speakers import who_is_heard

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_S = 10.0
LOST_AT_MOST_MS = 300.0
"Of a monitor: packets in flight, and what the test's own clock does not know exactly."


@dataclass
class Affected:
    """A call that the crash meets, and what is known to be true of it."""

    app: Application
    session: str
    last_block: str
    "Whose notification says `ended`."
    answered_legs: int
    calls: list[PhoneCall] = field(default_factory=list)
    "Each far end that is up."
    monitored_s: float = 0.0
    "Since when, in monotonic seconds; 0: not monitored."
    killed_s: float = 0.0
    "When the server died."


@contextlib.asynccontextmanager
async def all_kinds_of_calls(server: ServerProcess) -> AsyncIterator[list[Affected]]:
    """One call of each kind, in the midst of it."""
    async with contextlib.AsyncExitStack() as opened:

        async def an_app() -> Application:
            return await opened.enter_async_context(Application(server))

        async def a_phone() -> Phone:
            return await opened.enter_async_context(Phone())

        found = []
        app = await an_app()
        carrier = await opened.enter_async_context(Carrier(app))
        session = (await app.dial(carrier.number(RingForever())))["session"]
        found.append(Affected(app, session, "dial", 0))

        app = await an_app()
        carrier = await opened.enter_async_context(Carrier(app))
        friend = carrier.number()
        call, session = await waiting_for_a_block(app, await a_phone())
        await app.monitor(session, tag="all")
        await app.told(ivr_block="monitor", call_state="ongoing")
        began_s = time.monotonic()
        await app.transfer(session, friend)
        far = await carrier.call_to(friend)
        await far.answered()
        people = {0: call, 1: far}
        speak(people)
        await until_heard({0: {1}, 1: {0}}, people)
        found.append(Affected(app, session, "transfer", 2, [call, far], began_s))

        app = await an_app()
        carrier = await opened.enter_async_context(Carrier(app))
        call, session = await waiting_for_a_block(app, await a_phone())
        await app.transfer(session, carrier.number(RingForever()))
        await call.media.talking.wait()
        found.append(Affected(app, session, "transfer", 1, [call]))

        app = await an_app()
        for _ in range(2):
            call, session = await waiting_for_a_block(app, await a_phone())
            await app.transfer(session, "room:crash")
            found.append(Affected(app, session, "transfer", 1, [call]))
        people = dict(enumerate(one.calls[0] for one in found[-2:]))
        speak(people)
        await until_heard({0: {1}, 1: {0}}, people)

        app = await an_app()
        call, session = await waiting_for_a_block(app, await a_phone())
        await app.hold(session)
        found.append(Affected(app, session, "play", 1, [call]))
        yield found


async def is_over_and_settled(one: Affected) -> None:
    """Everything that must be true of one of them."""
    async with asyncio.timeout(LIMIT_S):
        for call in one.calls:
            await call.ended()
            assert call.end_cause == "peer_hung_up"
            await call.media.stop()
    told = await one.app.told(session=one.session, call_state="ended")
    assert told.body["ivr_block"] == one.last_block, told.body
    if one.monitored_s:
        await the_monitor_is_kept(one)
    found = await facts.facts_of(one.app, one.session)
    assert found.session.state is SessionState.ENDED
    assert found.unfinished_runs == 0
    assert len(found.charges) == one.answered_legs
    assert sum(int(charge.amount) for charge in found.charges) == (found.session.debit or 0)
    legs = await facts.in_database(
        one.app.server, lambda c: further_legs.list_of_session(c, one.session)
    )
    assert all(leg.ended_us is not None for leg in legs)
    ended = [n for n in one.app.sink.received if n.body["session"] == one.session]
    assert set(Counter(n.event_id for n in ended).values()) == {1}
    counted = Counter(n.body["ivr_block"] for n in ended if n.body["call_state"] == "ended")
    assert counted == {one.last_block: 1} | ({"monitor": 1} if one.monitored_s else {})


async def the_monitor_is_kept(one: Affected) -> None:
    """Exactly one, with both sides up to the crash."""
    told = await one.app.told(ivr_block="monitor", call_state="ended", session=one.session)
    assert told.body["monitor_status"] == "success"
    audio = io.BytesIO(await one.app.fetch(told.body["monitor_url"]))
    samples, _rate_hz = soundfile.read(audio, dtype="int16")
    for side in (0, 1):
        passages = who_is_heard(samples[:, side])
        assert {passage.speaker for passage in passages} == {side}
    found = await facts.facts_of(one.app, one.session)
    (recording,) = [r for r in found.recordings if r.kind is RecordingKind.MONITOR]
    assert recording.state is RecordingState.READY
    lasted_ms = (one.killed_s - one.monitored_s) * 1000
    assert -LOST_AT_MOST_MS <= len(samples) / 8 - lasted_ms <= LOST_AT_MOST_MS


@pytest.mark.parametrize("what", ["all", "server", "worker"])
async def test_all_kinds_of_calls(server: ServerProcess, what: str) -> None:
    """Both ends get BYE, each call is told and charged once, its monitor kept; life goes on."""
    async with all_kinds_of_calls(server) as calls:
        for one in calls:
            one.killed_s = time.monotonic()
        if what == "all":
            server.kill_all()
            await server.gone()
            await server.start()
        else:
            facts.kill(server.pids()[what][0])
            if what == "server":
                await server.next_ready_line()
        for one in calls:
            await is_over_and_settled(one)
        await facts.nothing_is_left_in_the_folders(server)
    async with Application(server) as app:
        if what == "worker":
            await room_for_calls(app)
        await next_call_works(app)
        async with Phone() as phone, Phone() as other:
            people = {}
            for number, one_phone in enumerate((phone, other)):
                people[number], session = await waiting_for_a_block(app, one_phone)
                await app.transfer(session, "room:crash")
            speak(people)
            await until_heard({0: {1}, 1: {0}}, people)
