"""Numbers that are rung at once; `test_conversation` shows the rest of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.engine.fake_legs import FakeCall, FakeLeg, a_number, settle
from voiceblocks.calls.events import Disposition
from voiceblocks.engine import further_legs
from voiceblocks.engine.further_legs import FurtherLegs


def some_legs(
    monkeypatch: pytest.MonkeyPatch, call: FakeCall, count: int
) -> tuple[FurtherLegs, list[FakeLeg]]:
    """So many further legs of a call."""
    legs: list[FakeLeg] = []

    def leg(_parts: Any, *, name: str, plan: Any, beside: Any) -> FakeLeg:
        legs.append(FakeLeg(plan.leg_id, plan))
        return legs[-1]

    monkeypatch.setattr(further_legs, "OutgoingLeg", leg)
    plans = [a_number(f"leg_{number}") for number in range(count)]
    beside: Any = call.leg.media.leg
    ringing = FurtherLegs(call.parts, call.session_id, plans, beside=beside, tell=call.tell)
    return ringing, legs


async def test_a_fault_with_one_number_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It counts as one that failed."""
    call = FakeCall()
    ringing, legs = some_legs(monkeypatch, call, 2)

    async def broken() -> None:
        legs[0].fails(Disposition.FAILED)
        raise RuntimeError("a fault of ours")

    legs[0].connect = broken  # type: ignore[method-assign]
    waiting = asyncio.create_task(ringing.ring())
    await settle()
    assert not waiting.done()
    legs[1].answers()
    winner: Any = await waiting
    assert winner is legs[1]
    await ringing.over()


async def test_who_stops_to_wait_hangs_up_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are cancelled by the time that the waiting is over."""
    call = FakeCall()
    ringing, legs = some_legs(monkeypatch, call, 3)
    waiting = asyncio.create_task(ringing.ring())
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [leg.disposition for leg in legs] == [Disposition.CANCELLED] * 3


async def test_legs_that_were_never_rung_are_told_as_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is a row that waits for its end."""
    call = FakeCall()
    ringing, _legs = some_legs(monkeypatch, call, 2)
    await ringing.over()
    assert call.ear.told() == [
        ("FurtherLegEnded", "leg_0", "cancelled"),
        ("FurtherLegEnded", "leg_1", "cancelled"),
    ]
    assert ringing.reached is Disposition.CANCELLED
