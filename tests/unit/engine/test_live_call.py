"""A call over a leg that is only a stand-in: what runs, and what is told in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import (
    BlockFinished,
    CallAnswered,
    CallEnded,
    Disposition,
    EndReason,
)
from voiceblocks.engine.call_clocks import CallLimits
from voiceblocks.engine.call_leg import LegState
from voiceblocks.engine.leg_end import LegEnd
from voiceblocks.engine.live_call import LiveCall
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.ids import SessionId
from voiceblocks.speech.interfaces import Clip

SESSION = SessionId("S-1-a")
URL = "http://127.0.0.1:9/told"
PROMPT = (Clip(Path("a"), Path("b"), 8000),)


class FakeLeg:
    """Comes up at once, and plays until it is told that the prompt is over."""

    def __init__(self) -> None:
        self.state = LegState.RINGING
        self.ending = LegEnd()
        self.up_us = 1
        self.disposition = Disposition.NO_ANSWER
        self.dialog = "dialog"
        self.on_gone: Any = None
        self.prompt_over = asyncio.Event()
        self.playing = 0
        self.released = False
        self.pressed = ""

    async def connect(self) -> None:
        self.state, self.disposition = LegState.UP, Disposition.ANSWERED

    async def confirmed(self) -> None:
        """At once."""

    async def play(self, clips: Sequence[Clip], *, then_recorded: bool = False) -> None:
        if clips:
            self.playing += 1
            await self.ending.unless(self.prompt_over.wait())

    def looping(self, _clips: Sequence[Clip]) -> Any:
        return nullcontext()

    def end(
        self,
        reason: EndReason,
        *,
        status: int | None = None,
        cause: CallEndCause | None = None,
    ) -> None:
        if self.state is not LegState.GONE:
            self.state = LegState.GONE
            self.ending.come(reason, 1.0, 1_000_000, cause)
            self.on_gone()

    async def release(self) -> None:
        self.released = True

    def forget(self) -> None:
        """Nothing."""

    def forget_digits(self) -> None:
        self.pressed = ""


class Ear:
    """A handler that keeps everything in its order; may be deaf."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.fails = False

    async def _take(self, event: Any) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("the database is no more")
        self.events.append(event)

    def on_call_answered(self, event: CallAnswered) -> Awaitable[None]:
        return self._take(event)

    def on_block_finished(self, event: BlockFinished) -> Awaitable[None]:
        return self._take(event)

    def on_call_ended(self, event: CallEnded) -> Awaitable[None]:
        return self._take(event)

    def told(self) -> list[tuple[str, str]]:
        """Kind and run or disposition of each event."""
        return [
            (type(event).__name__, getattr(event, "run_id", getattr(event, "dialog", "")))
            for event in self.events
        ]


def a_call() -> tuple[LiveCall, FakeLeg, Ear]:
    """A call that rings."""
    leg, ear = FakeLeg(), Ear()
    clock = SimpleNamespace(utc_us=lambda: 1, monotonic=lambda: 0.0)
    parts: Any = SimpleNamespace(handler=ear, clock=clock)
    fake: Any = leg
    call = LiveCall(
        session_id=SESSION,
        leg=fake,
        parts=parts,
        limits=CallLimits(answer_timeout_s=60, idle_timeout_s=30, max_call_s=600),
        on_over=lambda _call: None,
    )
    return call, leg, ear


def a_plan(command: Any, run_id: str, prompt: tuple[Clip, ...] = ()) -> BlockPlan:
    """A block of this call."""
    return BlockPlan(session_id=SESSION, run_id=run_id, command=command, prompt=prompt)


PLAY = PlayCommand(session=SESSION, notify_url=URL)
HOLD = HoldCommand(session=SESSION)
UNHOLD = UnholdCommand(session=SESSION, notify_url=URL)


async def settle() -> None:
    """Let everything happen that can without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_first_block_that_needs_it_answers_the_call() -> None:
    """Answered once, told before the block's end."""
    call, _leg, ear = a_call()
    call.start_block(a_plan(PLAY, "one"))
    await settle()
    call.start_block(a_plan(PLAY, "two"))
    await settle()
    assert ear.told() == [
        ("CallAnswered", "dialog"),
        ("BlockFinished", "one"),
        ("BlockFinished", "two"),
    ]
    call.end(EndReason.HANGUP)


async def test_keys_are_a_block_s_from_its_acceptance_on() -> None:
    """What was pressed before is forgotten at once; what comes before its task runs is kept."""
    call, leg, _ear = a_call()
    leg.pressed = "9"
    call.start_block(a_plan(PLAY, "one", PROMPT))
    assert leg.pressed == ""
    leg.pressed = "1"
    await settle()
    assert leg.pressed == "1"
    call.end(EndReason.HANGUP)
    await call.over()


async def test_a_hold_lasts_until_the_unhold() -> None:
    """Both ends are told, the hold's first, and nothing waits for ever."""
    call, _leg, ear = a_call()
    call.start_block(a_plan(HOLD, "hold", PROMPT))
    await settle()
    assert ear.told() == [("CallAnswered", "dialog")]
    call.start_block(a_plan(UNHOLD, "unhold"))
    await settle()
    assert ear.told()[1:] == [("BlockFinished", "hold"), ("BlockFinished", "unhold")]
    call.end(EndReason.HANGUP)


async def test_an_unhold_that_overtakes_its_hold_ends_it_too() -> None:
    """The hold still waits for the block before it when the unhold is accepted."""
    call, leg, ear = a_call()
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await settle()
    call.start_block(a_plan(HOLD, "hold", PROMPT))
    call.start_block(a_plan(UNHOLD, "unhold"))
    leg.prompt_over.set()
    await settle()
    assert [run for _kind, run in ear.told()[1:]] == ["play", "hold", "unhold"]
    call.end(EndReason.HANGUP)


async def test_a_block_that_the_hang_up_cuts_off_is_told_before_the_call() -> None:
    """And the media are given back before, so that the recording is complete."""
    call, leg, ear = a_call()
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await settle()
    call.end(EndReason.HANGUP)
    await call.over()
    assert ear.told()[1:] == [("BlockFinished", "play"), ("CallEnded", "")]
    assert ear.events[1].reason is EndReason.HANGUP
    assert leg.released


async def test_a_forced_hangup_is_told_after_what_it_cut_off() -> None:
    """Decision 1: first the block, then the hangup, then the call."""
    call, _leg, ear = a_call()
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await settle()
    call.force_hangup("force")
    await call.over()
    assert [run for _kind, run in ear.told()[1:]] == ["play", "force", ""]
    assert ear.events[1].reason is EndReason.FORCED


async def test_a_call_that_is_hung_up_from_outside_ends_without_a_hangup_block() -> None:
    """`voice/hangup` has no run of its own."""
    call, _leg, ear = a_call()
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await settle()
    call.force_hangup(None)
    await call.over()
    assert [kind for kind, _run in ear.told()] == ["CallAnswered", "BlockFinished", "CallEnded"]


async def test_a_hangup_block_ends_the_call_after_its_message() -> None:
    """Completed, not cut off."""
    call, leg, ear = a_call()
    leg.prompt_over.set()
    call.start_block(a_plan(HangupCommand(session=SESSION), "bye", PROMPT))
    await call.over()
    assert ear.events[1].reason is EndReason.COMPLETED
    assert leg.ending.reason is EndReason.COMPLETED


async def test_a_fault_in_a_block_ends_the_call() -> None:
    """A caller is not left in silence, and the application is told."""
    call, leg, ear = a_call()

    async def broken(_clips: Sequence[Clip]) -> None:
        raise RuntimeError("a fault of ours")

    leg.play = broken  # type: ignore[method-assign]
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await call.over()
    assert [kind for kind, _run in ear.told()] == ["CallAnswered", "BlockFinished", "CallEnded"]


async def test_a_block_whose_end_cannot_be_noted_ends_the_call() -> None:
    """The application would never be asked for the next one."""
    call, leg, ear = a_call()
    call.start_block(a_plan(PLAY, "play", PROMPT))
    await settle()
    ear.fails = True
    leg.prompt_over.set()
    await call.over()
    assert leg.state is LegState.GONE


async def test_blocks_that_come_after_the_end_are_told_as_cut_off() -> None:
    """One that was accepted in the moment in which the caller left."""
    call, _leg, ear = a_call()
    call.start_block(a_plan(PLAY, "one"))
    await settle()
    call.leg.end(EndReason.HANGUP)
    call.start_block(a_plan(PLAY, "late", PROMPT))
    await call.over()
    await settle()
    assert ("BlockFinished", "late") in ear.told()
