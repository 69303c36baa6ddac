"""Twenty transfers and three rooms whose people leave at any instant: nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.functional.bad_input.aftermath import assert_no_fault
from tests.functional.calls import ringing
from tests.functional.connected.facts import Facts
from tests.functional.outgoing import Carrier
from tests.functional.test_soak import settled
from tests.harness import Application, ServerProcess
from voiceblocks.testing.answering import BUSY, Answer, Behaviour, RingForever
from voiceblocks.testing.conversation import speak
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

SEED = 20261125
TRANSFERS = 20
ROOMS = 3
SETTLED_LIMIT_S = 45.0
FATES: tuple[Behaviour, ...] = (Answer(), Answer(rings=0.1), RingForever(), BUSY)


async def leaves(call: PhoneCall, after_s: float) -> None:
    """Hang up at that instant, whatever state the call is in, and see it end."""
    await asyncio.sleep(after_s)  # the instant is the test
    call.hang_up()
    async with asyncio.timeout(20):
        await call.ended()


async def transfer_and_leave(
    app: Application, phone: Phone, carrier: Carrier, index: int, chance: random.Random
) -> str:
    """One transfer, left by either side at a random instant; returns its session."""
    number = carrier.number(FATES[index % len(FATES)])
    call = await phone.call(app.sip(), from_number=f"+659{index:07d}")
    told = await app.told(ivr_block="answer", **{"from": f"+659{index:07d}"})
    session = told.body["session"]
    await app.transfer(session, number, tag=str(index))
    after_s, by_far_end = chance.uniform(0.0, 1.5), chance.random() < 0.4
    with contextlib.suppress(CallNotAnswered):
        await call.answered()
        speak({index % 16: call})
    if by_far_end:
        with contextlib.suppress(TimeoutError):
            far = await carrier.trunk.incoming(2, number)
            await leaves(far, after_s)
    await leaves(call, 0.0 if by_far_end else after_s)
    return session


async def room_and_leave(
    app: Application, phone: Phone, carrier: Carrier, room: str, chance: random.Random
) -> list[str]:
    """Two who are transferred and two who are called, gone at random; returns transactions."""
    numbers = [carrier.number(), carrier.number(Answer(rings=0.1))]
    callers = [await ringing(app, phone) for _ in range(2)]
    for _call, session in callers:
        await app.transfer(session, f"room:{room}", tag=session)
    txn_refs = await app.conference(*numbers, room=room)
    called = [await carrier.call_to(number) for number in numbers]
    leavers = [*(call for call, _session in callers), *called]
    speak(dict(enumerate(leavers)))
    await asyncio.gather(*(leaves(call, chance.uniform(0.0, 1.5)) for call in leavers))
    return txn_refs


async def test_calls_that_are_left_at_any_instant_leave_nothing(tmp_path: Path) -> None:
    """No leg, transaction or media are left; a charge an answered leg; every end told once."""
    chance = random.Random(SEED)
    server = await ServerProcess(tmp_path / "data", stderr=tmp_path / "stderr").start()
    try:
        async with (
            Application(server, credit="1000.00") as app,
            Phone() as phone,
            Carrier(app) as carrier,
        ):
            sessions = await asyncio.gather(
                *(transfer_and_leave(app, phone, carrier, i, chance) for i in range(TRANSFERS))
            )
            txn_refs: list[str] = []
            for number in range(ROOMS):
                txn_refs += await room_and_leave(app, phone, carrier, f"room{number}", chance)
            await settled(app, 10, transactions=False)
            async with asyncio.timeout(10):
                wanted = TRANSFERS + 2 * ROOMS + len(txn_refs)
                while len(_ends(app)) < wanted:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)  # notifications that many calls wait for
            await settled(app, SETTLED_LIMIT_S, transactions=True)
            assert set(Counter(_ends(app)).values()) == {1}
            assert len(_ends(app)) == wanted
            _check_charges(server, [*sessions, *_sessions_of(app)])
    finally:
        assert await server.stop() == 0
    assert_no_fault(server)


def _ends(app: Application) -> list[str]:
    """Transactions whose end was told, once for each event."""
    events = {one.event_id: one.body for one in app.sink.received}
    return [
        body["txn_ref"] for body in events.values() if body.get("call_state", "ended") == "ended"
    ]


def _sessions_of(app: Application) -> list[str]:
    return sorted({one.body["session"] for one in app.sink.received if "session" in one.body})


def _check_charges(server: ServerProcess, sessions: list[str]) -> None:
    """As many further charges as further legs were answered, none for others."""
    facts = Facts(server.database_url)
    try:
        for session in set(sessions):
            answered = {str(one.number) for one in facts.legs_of(session) if one.answered_us}
            assert set(facts.charges_of(session)) - {"1"} == answered, session
            assert all(leg.ended_us for leg in facts.legs_of(session)), session
    finally:
        facts.close()
