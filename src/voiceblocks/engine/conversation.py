"""A call is connected with somebody: numbers that are rung, or a room.

What transfer, `voice/call` and conferences have in common. While the far end rings, the
caller hears its early media, or the ring tone of its country.
"""

from __future__ import annotations

import asyncio
import contextlib

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine.bridge import Bridge
from voiceblocks.engine.further_legs import FurtherLegs
from voiceblocks.engine.outgoing_leg import OutgoingLeg
from voiceblocks.engine.plan import RoomKey, TransferPlan
from voiceblocks.engine.runners.interfaces import CallGone, ConnectableCall, Outcome
from voiceblocks.errors import CapacityExceeded, ContractViolation

NOT_JOINED = (CapacityExceeded, ContractViolation)
"A media worker has no room, or a leg ended in the moment in which it was to be joined."


async def converse(call: ConnectableCall, plan: TransferPlan) -> Outcome:
    """
    Connect a call that is up, until either side leaves.

    Returns:
        With `reached` other than ANSWERED where nobody was reached: then the call is still up,
        unless its own end was the reason.
    """
    if plan.room is not None:
        return await _in_room(call, plan.room)
    return await _Ringing(call, plan).converse()


async def _in_room(call: ConnectableCall, key: RoomKey) -> Outcome:
    try:
        seat = await call.unless_gone(call.parts.rooms.enter(key, call.leg.media.leg))
    except CallGone:
        return Outcome(call.gone_reason, reached=Disposition.CANCELLED)
    except NOT_JOINED:
        return Outcome(EndReason.COMPLETED, reached=Disposition.FAILED)
    call.seat = seat
    try:
        await call.unless_gone(seat.kicked.wait())
    except CallGone:
        return Outcome(call.gone_reason, reached=Disposition.ANSWERED)
    finally:
        call.seat = None
        seat.leave()
    return _over(CallEndCause.REMOVED)


def _over(cause: CallEndCause) -> Outcome:
    """A conversation that came about is over, and the call with it."""
    return Outcome(EndReason.HANGUP, reached=Disposition.ANSWERED, ends_call=True, ends_by=cause)


def _left_by(leg: OutgoingLeg) -> CallEndCause:
    """How the call hears that the other side is gone."""
    hung_up = leg.ending.cause is CallEndCause.FAR_HUNG_UP
    return CallEndCause.OTHER_HUNG_UP if hung_up else CallEndCause.OTHER_LOST


class _Ringing:
    """Numbers that are called for one caller."""

    def __init__(self, call: ConnectableCall, plan: TransferPlan) -> None:
        self._call = call
        self._plan = plan
        self._legs = FurtherLegs(
            call.parts,
            call.session_id,
            plan.legs,
            beside=call.leg.media.leg,
            tell=call.tell,
        )
        self._progress = asyncio.Event()
        self._opening: asyncio.Task[Bridge] | None = None

    async def converse(self) -> Outcome:
        winner, was_joined, cause = None, True, CallEndCause.MAX_DURATION
        try:
            winner = await self._ring()
            if winner is not None:
                await self._talk(winner)
                if winner.ending.has_come:
                    cause = _left_by(winner)
        except CallGone:
            """The caller left while it rang."""
        except NOT_JOINED:
            was_joined = False
        finally:
            try:
                await self._close_bridge()
            finally:
                await self._legs.over()
        if self._call.has_gone:
            return Outcome(self._call.gone_reason, reached=self._legs.reached)
        if not was_joined:
            return Outcome(EndReason.COMPLETED, reached=Disposition.FAILED)
        if winner is None:
            return Outcome(EndReason.COMPLETED, reached=self._legs.reached)
        return _over(cause)

    async def _ring(self) -> OutgoingLeg | None:
        for leg in self._legs.legs:
            leg.on_progress = self._progress.set
        sounds = asyncio.get_running_loop().create_task(self._let_hear())
        try:
            return await self._call.unless_gone(self._legs.ring())
        finally:
            sounds.cancel()
            with contextlib.suppress(asyncio.CancelledError, *NOT_JOINED):
                await sounds

    async def _let_hear(self) -> None:
        """What the caller hears until somebody answers."""
        await self._progress.wait()
        if not self._early_media():
            tone = self._plan.ring_tone
            with self._call.leg.looping(() if tone is None else (tone,)):
                while not self._early_media():
                    self._progress.clear()
                    await self._progress.wait()
        await self._open_bridge(self._legs.legs[0])

    def _early_media(self) -> bool:
        """Of several numbers no one's: nobody could understand them at once."""
        return len(self._legs.legs) == 1 and self._legs.legs[0].has_early_media

    async def _talk(self, winner: OutgoingLeg) -> None:
        bridge = await self._open_bridge(winner)
        try:
            async with asyncio.timeout(self._plan.max_talk_s):
                await bridge.until_over()
        except TimeoutError:
            return

    async def _open_bridge(self, leg: OutgoingLeg) -> Bridge:
        """Once; who stops waiting (the ringing is over) does not undo it."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._bridged(leg))
        return await asyncio.shield(self._opening)

    async def _bridged(self, leg: OutgoingLeg) -> Bridge:
        bridge = Bridge(self._call.parts.plane, self._call.leg, leg)
        try:
            await bridge.open()
        except BaseException:
            await bridge.close()
            raise
        return bridge

    async def _close_bridge(self) -> None:
        if self._opening is None:
            return
        with contextlib.suppress(*NOT_JOINED):
            await (await self._opening).close()
