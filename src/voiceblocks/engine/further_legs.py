"""The numbers that a transfer calls: rung at once, the first to answer wins.

Each leg's answer and end are told to the workflows once, since each costs money of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from voiceblocks.calls.events import (
    MOST_TELLING,
    Disposition,
    EndReason,
    FurtherLegAnswered,
    FurtherLegEnded,
)
from voiceblocks.engine.call_leg import LegState
from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.outgoing_leg import OutgoingLeg
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.plan import OutgoingLegPlan
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.log import get_logger

_log = get_logger("leg")


class FurtherLegs:
    """
    Legs that belong to a call beside its first one.

    Args:
        parts: What all legs of the engine share.
        session_id: Whose they are.
        plans: One for each number.
        beside: The first leg's media, whose worker they share.
        tell: Runs a handler's coroutine; what cannot be written down is its business.
    """

    def __init__(
        self,
        parts: EngineParts,
        session_id: str,
        plans: Sequence[OutgoingLegPlan],
        *,
        beside: MediaLeg,
        tell: Callable[[Awaitable[None]], Awaitable[object]],
    ) -> None:
        self._parts = parts
        self._session_id = session_id
        self._tell = tell
        self._answered: asyncio.Task[object] | None = None
        self.legs = [
            OutgoingLeg(parts, name=session_id, plan=plan, beside=beside) for plan in plans
        ]

    async def ring(self) -> OutgoingLeg | None:
        """Call all numbers; returns the first leg that is up, with the others hung up."""
        loop = asyncio.get_running_loop()
        calling = {loop.create_task(self._connects(leg)): leg for leg in self.legs}
        waiting = set(calling)
        winner: OutgoingLeg | None = None
        try:
            while waiting and winner is None:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                winner = next((calling[task] for task in done if task.result()), None)
        finally:
            for leg in self.legs:
                if leg is not winner:
                    _give_up(leg)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if winner is not None:
            self._answered = loop.create_task(self._note_answered(winner))
        return winner

    async def over(self) -> None:
        """Hang up what is left, tell all ends, and give the media back."""
        for leg in self.legs:
            if self._answered is None:
                _give_up(leg)
            leg.end(EndReason.COMPLETED)
        for leg in self.legs:
            await leg.release()
            leg.forget()
        if self._answered is not None:
            await self._answered
        for leg in self.legs:
            event = FurtherLegEnded(
                self._session_id, leg.plan.leg_id, leg.ending.at_us, leg.disposition
            )
            await self._tell(self._parts.handler.on_further_leg_ended(event))

    @property
    def reached(self) -> Disposition:
        """How the far ends were reached, of several the most telling one."""
        return min((leg.disposition for leg in self.legs), key=MOST_TELLING.index)

    async def _note_answered(self, leg: OutgoingLeg) -> None:
        event = FurtherLegAnswered(self._session_id, leg.plan.leg_id, leg.up_us, leg.dialog)
        await self._tell(self._parts.handler.on_further_leg_answered(event))

    async def _connects(self, leg: OutgoingLeg) -> bool:
        try:
            await leg.connect()
        except CallGone:
            return False
        except Exception:  # noqa: BLE001 (a fault of ours with one number; the others ring on)
            _log.exception("dial_impossible", session=self._session_id)
            return False
        return True


def _give_up(leg: OutgoingLeg) -> None:
    """One that answered in the instant in which it lost talked to nobody, and costs nothing."""
    if leg.state is LegState.UP:
        leg.end(EndReason.COMPLETED)
        leg.disposition = Disposition.CANCELLED
    leg.end(EndReason.COMPLETED)
