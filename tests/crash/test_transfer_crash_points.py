"""Killed between any two steps of a transfer, and again between any two of its recovery.

```
life:     further leg answered   further leg ended   block finished   wake   call ended   wake
recovery: run (look)   say_goodbye, say_goodbye   run (settle)   wake   run (tidy up)
```
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.crash.facts import read_facts
from tests.crash.mortal import Fuse, Killed
from tests.crash.test_crash_points import URL, Call, World, new_call
from voiceblocks.blocks.transfer import OnFailure, TransferCommand
from voiceblocks.calls.events import (
    BlockFinished,
    CallEnded,
    Disposition,
    EndReason,
    FurtherLegAnswered,
    FurtherLegEnded,
)
from voiceblocks.database import allowed_prefixes, further_legs, trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import TrunkId
from voiceblocks.sessions.state import SessionState
from voiceblocks.trunks.model import Trunk

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESTS = ("+6591110001", "+6591110002")
TALKED_US = 61_000_000


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A database with a trunk; nothing is ever encoded."""
    database = Database(database_url)
    made = World(tmp_path, database, cast("Any", None))
    database.run_sync(
        lambda c: trunks.insert(
            c, Trunk(id=TrunkId("trk_1"), name="carrier", address="sip:127.0.0.1:9", created_us=1)
        )
    )
    yield made
    database.close()


async def transferred(call: Call) -> Callable[[], Awaitable[None]]:
    """A call whose transfer to two numbers was accepted, and what the engine tells next."""
    await call.answered()
    await call.world.database.run(
        lambda c: allowed_prefixes.insert(c, call.app.account_id, "+6591")
    )
    run = await call.accept(
        TransferCommand(
            session=call.session, dests=DESTS, room=None, msg=(), caller_id=None,
            on_failure=OnFailure.HANGUP, ring_time_s=60, tag="away", notify_url=URL,
        )
    )  # fmt: skip
    winner, loser = await call.world.database.run(
        lambda c: further_legs.list_of_session(c, call.session)
    )
    now_us = call.world.clock.utc_us()
    over_us = now_us + TALKED_US
    handler = call.handler
    session = call.session

    async def live() -> None:
        await handler.on_further_leg_ended(
            FurtherLegEnded(session, loser.id, now_us, Disposition.CANCELLED)
        )
        await handler.on_further_leg_answered(
            FurtherLegAnswered(session, winner.id, now_us, f"further dialog of {session}")
        )
        await handler.on_further_leg_ended(
            FurtherLegEnded(session, winner.id, over_us, Disposition.ANSWERED)
        )
        await handler.on_block_finished(
            BlockFinished(session, run.id, EndReason.HANGUP, over_us, reached=Disposition.ANSWERED)
        )
        await handler.on_call_ended(CallEnded(session, over_us, Disposition.ANSWERED))

    return live


async def test_dead_at_any_step(world: World) -> None:
    """One `ended`, one charge for each answered leg, a BYE for each that was up; never twice."""
    for step in itertools.count():
        for dies_again in (False, True):
            call = await new_call(world)
            call.fuse = Fuse(step) if step else Fuse()
            live = await transferred(call)
            died = step == 0
            if step:
                try:
                    await live()
                except Killed:
                    died = True
            for deaths in itertools.count(1):
                try:
                    await world.recover(Fuse(deaths) if dies_again else Fuse())
                except Killed:
                    continue
                break
            await check(world, call)
        if not died:
            return


async def check(world: World, call: Call) -> None:
    """The state that every way must lead to."""
    facts = await world.database.run(lambda c: read_facts(c, call.session))
    legs = await world.database.run(lambda c: further_legs.list_of_session(c, call.session))
    assert facts.session.state is SessionState.ENDED
    assert facts.unfinished_runs == 0
    assert all(leg.ended_us is not None for leg in legs)
    [told] = facts.told_of("transfer")
    assert "call_state=ended" in told.parameters
    answered = 1 + sum(leg.answered_us is not None for leg in legs)
    assert len(facts.charges) == answered
    assert len({charge.id for charge in facts.charges}) == answered
    assert sum(int(charge.amount) for charge in facts.charges) == facts.session.debit
    assert facts.credit == 100_000 - (facts.session.debit or 0)
    word = "answered" if answered == 2 else "failed"
    assert f"transfer_status={word}" in told.parameters
