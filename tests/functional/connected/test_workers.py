"""Rooms and delays with media workers in several processes: legs move to meet (decision 14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import ringing
from tests.functional.connected.steps import ended, hear_each_other, talking
from tests.functional.outgoing import Carrier
from tests.functional.test_soak import alive
from tests.harness import Application, ServerProcess
from voiceblocks.testing.conversation import be_silent, listen, speak, until_heard
from voiceblocks.testing.hearing import gaps, heard_audio, mouth_to_ear_s
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
    Four calls are answered in turn by both workers; three are in a room, then the last joins.

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
    legs = [count for name, count in (await alive(app)).items() if "media_legs" in name]
    assert legs == [2, 2]
    for session in sessions[:3]:
        await app.transfer(session, "room:moving")
    # One continuous voice: a gap in it is told best where nobody else speaks.
    speak({0: calls[0]})
    people = dict(enumerate(calls[:3]))
    await until_heard({0: set(), 1: {0}, 2: {0}}, people)
    listening = asyncio.get_running_loop().create_task(
        listen({1: calls[1], 2: calls[2]}, seconds=2)
    )
    before = len(calls[3].media.heard)
    await app.transfer(sessions[3], "room:moving")
    await until_heard({3: {0}}, {3: calls[3]})
    joiner = heard_audio(calls[3].media.heard[before:])
    for samples in (*(await listening).values(), joiner):
        assert gaps(samples, 0, longer_than_ms=40) == []
    everybody = dict(enumerate(calls))
    speak(everybody)
    await until_heard({who: set(everybody) - {who} for who in everybody}, everybody)
    for call in calls:
        call.hang_up()
    await ended(*calls)


async def test_nobody_is_heard_with_a_gross_delay(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """From mouth to ear less than 150 ms, both ways; `benchmarks/bridge_delay.py` has figures."""
    call, far, _session = await talking(app, phone, carrier)
    be_silent(call, far)
    assert await mouth_to_ear_s(call.media, far.media) < GROSS_DELAY_S
    assert await mouth_to_ear_s(far.media, call.media) < GROSS_DELAY_S
    await hear_each_other(call, far)
