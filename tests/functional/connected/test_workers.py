"""Rooms and delays with media workers in several processes: legs move to meet (decision 14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import ringing
from tests.functional.connected.steps import ended, hear_each_other, talking
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.testing.conversation import listen, speak, until_heard, who_hears_whom
from voiceblocks.testing.hearing import gaps, mouth_to_ear_s
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROSS_DELAY_S = 0.15


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server with two media workers."""
    settings = {"MEDIA_WORKERS": "2"}
    running = await ServerProcess(tmp_path_factory.mktemp("workers"), settings).start()
    yield running
    assert await running.stop() == 0


async def test_legs_of_two_workers_meet_without_a_gap(app: Application, phone: Phone) -> None:
    """
    Two rooms, so that both workers are used, then one who is up elsewhere joins.

    Neither those who talk nor the one who comes miss more than 40 ms.
    """
    calls: list[PhoneCall] = []
    sessions: list[str] = []
    for _ in range(4):
        # Answered one after another: the least loaded worker takes each.
        call, session = await ringing(app, phone)
        await app.play(session, "Hello.")
        await call.answered()
        await app.told(ivr_block="play")
        calls.append(call)
        sessions.append(session)
    for session in sessions[:3]:
        await app.transfer(session, "room:moving")
    people = dict(enumerate(calls[:3]))
    speak(people)
    await until_heard({who: set(people) - {who} for who in people}, people)
    listening = asyncio.get_running_loop().create_task(listen(people, seconds=2))
    await app.transfer(sessions[3], "room:moving")
    heard = await listening
    for who, samples in heard.items():
        for other in set(people) - {who}:
            assert gaps(samples, other, longer_than_ms=40) == [], (who, other)
    speak({3: calls[3]})
    everybody = dict(enumerate(calls))
    await until_heard({who: set(everybody) - {who} for who in everybody}, everybody)
    own = await listen({3: calls[3]}, seconds=1)
    assert who_hears_whom(own) == {3: {0, 1, 2}}
    assert all(gaps(own[3], other, longer_than_ms=40) == [] for other in range(3))
    for call in calls:
        call.hang_up()
    await ended(*calls)


async def test_nobody_is_heard_with_a_gross_delay(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """From mouth to ear less than 150 ms, both ways; `benchmarks/bridge_delay.py` has figures."""
    call, far, _session = await talking(app, phone, carrier)
    for one in (call, far):
        one.media.repeat(one.media.audio()[:0])
    assert await mouth_to_ear_s(call.media, far.media) < GROSS_DELAY_S
    assert await mouth_to_ear_s(far.media, call.media) < GROSS_DELAY_S
    await hear_each_other(call, far)
