"""Legs, mixes and a call that are only words, for what connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine.call_leg import LegState
from voiceblocks.engine.digits import Digit, DigitInbox
from voiceblocks.engine.leg_end import LegEnd
from voiceblocks.engine.plan import OutgoingLegPlan
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.errors import CapacityExceeded


class FakeLeg:
    """A leg of either direction; `answers` and `fails` say what its far end does."""

    def __init__(self, name: str, plan: OutgoingLegPlan | None = None) -> None:
        self.name = name
        self.plan = plan
        self.state = LegState.RINGING
        self.disposition = Disposition.NO_ANSWER
        self.ending = LegEnd()
        self.up_us = 1
        self.dialog = f"dialog {name}"
        self.media = SimpleNamespace(leg=name, digits=DigitInbox())
        self.has_early_media = False
        self.keys_are_tones = False
        self.on_progress: Any = lambda: None
        self.pressed: list[str] = []
        self.loops: list[int] = []
        "How many clips each loop had that began."
        self.looping_now = 0
        self.released = self.forgotten = 0
        self._answered = asyncio.Event()

    # The far end

    def rings(self, *, early_media: bool = False) -> None:
        """180, or 183 with sound."""
        self.has_early_media = self.has_early_media or early_media
        self.on_progress()

    def answers(self) -> None:
        """200."""
        self.state, self.disposition = LegState.UP, Disposition.ANSWERED
        self._answered.set()

    def fails(self, disposition: Disposition) -> None:
        """A refusal, or nobody there."""
        self.disposition = disposition
        self._leave(EndReason.HANGUP)

    def leaves(self) -> None:
        """BYE."""
        self._leave(EndReason.HANGUP, CallEndCause.FAR_HUNG_UP)

    # What the engine does

    async def connect(self) -> None:
        await self.ending.unless(self._answered.wait())
        if self.state is not LegState.UP:
            raise CallGone

    def end(self, reason: EndReason) -> None:
        if self.state is LegState.RINGING:
            self.disposition = Disposition.CANCELLED
        if self.state is not LegState.GONE:
            self._leave(reason)

    def _leave(self, reason: EndReason, cause: CallEndCause | None = None) -> None:
        self.state = LegState.GONE
        self.ending.come(reason, 1.0, 1_000_000, cause)

    async def release(self) -> None:
        self.released += 1

    def forget(self) -> None:
        self.forgotten += 1

    async def next_digit(self) -> Digit:
        return await self.media.digits.next()

    def send_digit(self, key: str) -> None:
        self.pressed.append(key)

    @contextmanager
    def looping(self, clips: Sequence[Any]) -> Iterator[None]:
        self.loops.append(len(clips))
        self.looping_now += 1
        try:
            yield
        finally:
            self.looping_now -= 1


class FakeMix:
    """Notes who is in it; `full` lets nobody in, `broken` is a fault of ours."""

    def __init__(self, *, full: bool, broken: bool) -> None:
        self.members: list[Any] = []
        self.is_closed = False
        self._full, self._broken = full, broken

    async def join(self, leg: Any) -> None:
        await asyncio.sleep(0)
        if self._full:
            raise CapacityExceeded("the worker is full")
        if self._broken:
            raise RuntimeError("a fault of ours")
        self.members.append(leg)

    def close(self) -> None:
        self.is_closed = True


class FakePlane:
    """Opens mixes."""

    def __init__(self) -> None:
        self.mixes: list[FakeMix] = []
        self.full = self.broken = False

    def open_mix(self, beside: Any) -> FakeMix:
        self.mixes.append(FakeMix(full=self.full, broken=self.broken))
        return self.mixes[-1]


class Ear:
    """A handler that keeps what it is told of further legs."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def _take(self, event: Any) -> None:
        await asyncio.sleep(0)
        self.events.append(event)

    def on_further_leg_answered(self, event: Any) -> Awaitable[None]:
        return self._take(event)

    def on_further_leg_ended(self, event: Any) -> Awaitable[None]:
        return self._take(event)

    def told(self) -> list[tuple[str, str, str]]:
        """Kind, leg, and how it ended or its dialog."""
        return [
            (type(e).__name__, e.leg_id, str(getattr(e, "disposition", getattr(e, "dialog", ""))))
            for e in self.events
        ]


class FakeCall:
    """A call that is up; fulfils `ConnectableCall` as far as conversations need it."""

    session_id = "S-1-a"

    def __init__(self) -> None:
        self.leg = FakeLeg("caller")
        self.leg.state = LegState.UP
        self.plane = FakePlane()
        self.ear = Ear()
        clock = SimpleNamespace(utc_us=lambda: 1, monotonic=lambda: 0.0)
        self.parts: Any = SimpleNamespace(plane=self.plane, handler=self.ear, clock=clock)
        self.seat: Any = None

    @property
    def has_gone(self) -> bool:
        return self.leg.ending.has_come

    @property
    def gone_reason(self) -> EndReason:
        return self.leg.ending.reason

    async def unless_gone(self, awaitable: Awaitable[Any]) -> Any:
        return await self.leg.ending.unless(awaitable)

    async def tell(self, telling: Awaitable[None]) -> bool:
        await telling
        return True


def a_number(leg_id: str) -> OutgoingLegPlan:
    """A number to be rung."""
    return OutgoingLegPlan(
        dest="+6591234567", caller="private", routes=(), ring_s=60.0, leg_id=leg_id
    )


async def settle() -> None:
    """Let everything happen that can without time passing."""
    for _ in range(60):
        await asyncio.sleep(0)
