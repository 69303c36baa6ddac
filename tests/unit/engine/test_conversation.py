"""A caller and the numbers that are rung for them: who hears whom, when, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.engine.fake_legs import FakeCall, FakeLeg, a_number, settle
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine import further_legs
from voiceblocks.engine.conversation import converse
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.plan import TransferPlan
from voiceblocks.engine.runners.interfaces import Outcome
from voiceblocks.speech.interfaces import Clip

TONE = Clip(Path("a"), Path("b"), 8000)

Ring = Callable[..., tuple[FakeCall, list[FakeLeg], "asyncio.Task[Outcome]"]]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    """Begin a conversation with so many numbers: the call, its further legs, and its outcome."""
    legs: list[FakeLeg] = []

    def leg(_parts: Any, *, name: str, plan: Any, beside: Any) -> FakeLeg:
        assert name == FakeCall.session_id
        assert beside == "caller"
        legs.append(FakeLeg(plan.leg_id, plan))
        return legs[-1]

    monkeypatch.setattr(further_legs, "OutgoingLeg", leg)

    def begin(
        count: int = 1, *, max_talk_s: float | None = None, call: FakeCall | None = None
    ) -> tuple[FakeCall, list[FakeLeg], asyncio.Task[Outcome]]:
        call = call or FakeCall()
        plan = TransferPlan(
            legs=tuple(a_number(f"leg_{number}") for number in range(count)),
            ring_tone=TONE,
            max_talk_s=max_talk_s,
        )
        talking: Any = call
        return call, legs, asyncio.create_task(converse(talking, plan))

    return begin


def over_by(cause: CallEndCause) -> Outcome:
    """A conversation that came about, and was over so."""
    return Outcome(EndReason.HANGUP, reached=Disposition.ANSWERED, ends_call=True, ends_by=cause)


async def test_the_first_to_answer_is_connected_and_the_others_are_cancelled(ring: Ring) -> None:
    """Each leg's end is told once, the answer before it, and everything is given back."""
    call, legs, over = ring(3)
    await settle()
    legs[0].fails(Disposition.BUSY)
    legs[1].answers()
    await settle()
    assert call.plane.mixes[0].members == ["caller", "leg_1"]
    legs[1].leaves()
    outcome = await over
    assert outcome == over_by(CallEndCause.OTHER_HUNG_UP)
    assert call.ear.told() == [
        ("FurtherLegAnswered", "leg_1", "dialog leg_1"),
        ("FurtherLegEnded", "leg_0", "busy"),
        ("FurtherLegEnded", "leg_1", "answered"),
        ("FurtherLegEnded", "leg_2", "cancelled"),
    ]
    assert call.plane.mixes[0].is_closed
    assert [(leg.released, leg.forgotten) for leg in legs] == [(1, 1)] * 3


async def test_of_two_that_answer_at_once_one_costs_nothing(ring: Ring) -> None:
    """It was hung up before it talked to anybody: cancelled, and its answer is not told."""
    call, legs, over = ring(2)
    await settle()
    legs[0].answers()
    legs[1].answers()
    await settle()
    call.leg.leaves()
    await over
    answered = [leg for kind, leg, _ in call.ear.told() if kind == "FurtherLegAnswered"]
    assert len(answered) == 1
    ends = {leg: how for kind, leg, how in call.ear.told() if kind == "FurtherLegEnded"}
    assert ends.pop(answered[0]) == "answered"
    assert list(ends.values()) == ["cancelled"]


async def test_nobody_answers_and_the_most_telling_outcome_is_told(ring: Ring) -> None:
    """The caller stays: what comes next is the block's business."""
    call, legs, over = ring(2)
    await settle()
    legs[0].fails(Disposition.FAILED)
    legs[1].fails(Disposition.BUSY)
    assert await over == Outcome(EndReason.COMPLETED, reached=Disposition.BUSY)
    assert not call.has_gone
    assert call.plane.mixes == []


async def test_the_ring_tone_begins_with_the_ringing_and_ends_with_the_answer(ring: Ring) -> None:
    """Before that, silence: nothing rings yet."""
    call, legs, over = ring()
    await settle()
    assert call.leg.loops == []
    legs[0].rings()
    await settle()
    assert call.leg.looping_now == 1
    legs[0].answers()
    await settle()
    assert call.leg.looping_now == 0
    legs[0].leaves()
    await over


async def test_early_media_take_the_place_of_the_ring_tone(ring: Ring) -> None:
    """The same mix goes on when the number answers: no gap, and nobody joins twice."""
    call, legs, over = ring()
    await settle()
    legs[0].rings()
    await settle()
    legs[0].rings(early_media=True)
    await settle()
    assert call.leg.looping_now == 0
    assert call.plane.mixes[0].members == ["caller", "leg_0"]
    legs[0].answers()
    await settle()
    assert len(call.plane.mixes) == 1
    assert not call.plane.mixes[0].is_closed
    legs[0].leaves()
    await over


async def test_early_media_of_a_number_that_fails_leave_the_caller_alone(ring: Ring) -> None:
    """Its announcement was heard; the caller is taken out of the mix again."""
    call, legs, over = ring()
    await settle()
    legs[0].rings(early_media=True)
    await settle()
    legs[0].fails(Disposition.FAILED)
    assert await over == Outcome(EndReason.COMPLETED, reached=Disposition.FAILED)
    assert call.plane.mixes[0].is_closed


async def test_early_media_of_several_numbers_are_heard_by_nobody(ring: Ring) -> None:
    """The ring tone goes on until one of them answers."""
    call, legs, over = ring(2)
    await settle()
    legs[0].rings(early_media=True)
    legs[1].rings()
    await settle()
    assert call.leg.looping_now == 1
    assert call.plane.mixes == []
    call.leg.leaves()
    await over


async def test_a_caller_who_leaves_while_it_rings_cancels_all(ring: Ring) -> None:
    """Cancelled, whatever was heard by then; the call's own end is the reason."""
    call, legs, over = ring(2)
    await settle()
    legs[0].rings()
    await settle()
    call.leg.end(EndReason.FORCED)
    assert await over == Outcome(EndReason.FORCED, reached=Disposition.CANCELLED)
    assert call.leg.looping_now == 0
    assert [how for _, _, how in call.ear.told()] == ["cancelled", "cancelled"]


async def test_an_answer_as_the_caller_leaves_is_hung_up_and_costs_nothing(ring: Ring) -> None:
    """They never talked: whichever of the two came first, each end is told once."""
    call, legs, over = ring()
    await settle()
    call.leg.leaves()
    legs[0].answers()
    outcome = await over
    kinds = [kind for kind, _, _ in call.ear.told()]
    assert kinds.count("FurtherLegEnded") == 1
    was_told = "FurtherLegAnswered" in kinds
    assert outcome.reached is (Disposition.ANSWERED if was_told else Disposition.CANCELLED)
    assert legs[0].ending.has_come
    assert (legs[0].released, legs[0].forgotten) == (1, 1)


async def test_the_longest_talk_ends_the_call(ring: Ring) -> None:
    """`max_duration` of `voice/call`."""
    _call, legs, over = ring(max_talk_s=0.01)
    await settle()
    legs[0].answers()
    outcome = await over
    assert outcome == over_by(CallEndCause.MAX_DURATION)
    assert legs[0].ending.has_come


async def test_a_worker_without_room_is_a_failed_transfer(ring: Ring) -> None:
    """Who answered is hung up again; the caller stays for what comes next."""
    call = FakeCall()
    call.plane.full = True
    _call, legs, over = ring(call=call)
    await settle()
    legs[0].answers()
    assert await over == Outcome(EndReason.COMPLETED, reached=Disposition.FAILED)
    assert legs[0].ending.has_come
    assert not call.has_gone


@pytest.mark.parametrize("early_media", [False, True])
async def test_a_fault_in_the_bridge_leaves_no_leg_behind(ring: Ring, early_media: bool) -> None:
    """The block fails, but nobody is left on a line that costs money and ends nowhere."""
    call = FakeCall()
    call.plane.broken = True
    _call, legs, over = ring(call=call)
    await settle()
    legs[0].rings(early_media=early_media)
    await settle()
    legs[0].answers()
    with pytest.raises(RuntimeError):
        await over
    assert legs[0].ending.has_come
    assert (legs[0].released, legs[0].forgotten) == (1, 1)
    assert call.ear.told()[-1] == ("FurtherLegEnded", "leg_0", "answered")


@pytest.mark.parametrize(("by_info", "expected"), [(False, []), (True, ["5"])])
async def test_a_tone_that_both_hear_is_not_sent_again(
    ring: Ring, by_info: bool, expected: list[str]
) -> None:
    """The mix carries it; one long key press would become two. A key by INFO is sent."""
    call, legs, over = ring()
    await settle()
    legs[0].answers()
    await settle()
    call.leg.keys_are_tones = legs[0].keys_are_tones = True
    call.leg.media.digits.put(Digit("5", 0.0, None if by_info else 160))
    await settle()
    assert legs[0].pressed == expected
    call.leg.leaves()
    await over


async def test_keys_go_both_ways_where_one_side_has_events(ring: Ring) -> None:
    """And what was pressed before the conversation goes nowhere."""
    call, legs, over = ring()
    call.leg.keys_are_tones = True
    call.leg.media.digits.put(Digit("1", 0.0, 160))
    await settle()
    legs[0].answers()
    await settle()
    call.leg.media.digits.put(Digit("2", 9.0, 320))
    legs[0].media.digits.put(Digit("3", 9.0, 320))
    await settle()
    assert (legs[0].pressed, call.leg.pressed) == (["2"], ["3"])
    call.leg.leaves()
    await over
