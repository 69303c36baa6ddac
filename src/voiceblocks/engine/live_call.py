"""One call while it lives: its first leg, and the block that runs on it.

Blocks run one at a time in a task; whatever ends the leg sets `ending`, which every runner
waits for. Handler calls of one call are made one after another: a block's end before the
call's, and the end of a monitor after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import (
    BlockFinished,
    CallAnswered,
    CallEnded,
    EndReason,
    RecordingStarted,
)
from voiceblocks.engine.call_clocks import CallClocks, CallLimits
from voiceblocks.engine.call_leg import CallLeg, LegState
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.media.handles import Playback, Tap
from voiceblocks.engine.monitor import Monitor
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.rooms import Seat
from voiceblocks.engine.runners.interfaces import CallGone, Outcome
from voiceblocks.engine.runners.registry import RUNNERS
from voiceblocks.log import get_logger
from voiceblocks.speech.interfaces import Clip

T = TypeVar("T")

_log = get_logger("call")


class LiveCall:
    """
    A call from its first ring to its last word. Fulfils `runners.interfaces.ConnectableCall`.

    Args:
        session_id: The session that drives it.
        leg: The first leg; the call owns it.
        parts: What all legs of the engine share.
        limits: How long things may take.
        max_duration_s: The call ends so long after its answer; `None` without such a limit.
        on_over: Called once when all has been told and released.
    """

    def __init__(
        self,
        *,
        session_id: str,
        leg: CallLeg,
        parts: EngineParts,
        limits: CallLimits,
        max_duration_s: float | None = None,
        on_over: Callable[[LiveCall], None],
    ) -> None:
        self.session_id = session_id
        self.leg = leg
        self.parts = parts
        self.seat: Seat | None = None
        self._max_duration_s = max_duration_s
        self._duration: asyncio.TimerHandle | None = None
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._hangup_runs: list[str] = []
        self._block: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._superseded = asyncio.Event()
        self._running_superseded = self._superseded
        self._monitors: list[Monitor] = []
        self._is_over = asyncio.Event()
        self._clocks = CallClocks(
            limits,
            on_patience_over=lambda: self.end(EndReason.HANGUP, cause=CallEndCause.NO_BLOCK),
            on_too_old=self._too_old,
        )
        leg.on_gone = self._leg_gone

    # Commands from the workflows, by way of the call engine

    def start_block(self, plan: BlockPlan) -> None:
        """Run a block; the session's state table has seen to it that none but a hold runs."""
        command = plan.command
        longest_s = command.max_duration_s if isinstance(command, RecordCommand) else 0
        self._clocks.block_started(plan.run_id, longest_s)
        # Here and not when the block begins to run: the answer to the request is on its way
        # already, and a key that comes after it is this block's.
        self.leg.forget_digits()
        self._superseded.set()
        self._superseded = asyncio.Event()
        self._block = self._loop.create_task(self._run_block(plan, self._block, self._superseded))

    def force_hangup(self, run_id: str | None) -> None:
        """End the call now, whatever runs; the hangup block `run_id` is finished with it."""
        if run_id is not None:
            self._hangup_runs.append(run_id)
        self.end(EndReason.FORCED)

    def application_told(self) -> None:
        """The notification that makes the session ready leaves: the idle clock runs."""
        self._clocks.application_told()

    def hold_clocks(self) -> AbstractContextManager[None]:
        """While a block for this call is being prepared, nobody is hung up for lack of one."""
        return self._clocks.hold()

    def end(
        self,
        reason: EndReason,
        *,
        status: int | None = None,
        cause: CallEndCause | None = None,
    ) -> None:
        """End the call; see `CallLeg.end`."""
        self.leg.end(reason, status=status, cause=cause)

    async def over(self) -> None:
        """Wait until the leg has ended and everything about the call is told and released."""
        await self._is_over.wait()

    # What runners may do (runners.interfaces)

    async def connect(self) -> None:
        """Bring the leg up, where it is not, tell so, and wait until it can be spoken to."""
        if self.leg.state is not LegState.RINGING:
            return
        await self.leg.connect()
        if self._max_duration_s is not None and not self.has_gone:
            self._duration = self._loop.call_later(
                self._max_duration_s,
                lambda: self.end(EndReason.HANGUP, cause=CallEndCause.MAX_DURATION),
            )
        await self.parts.handler.on_call_answered(
            CallAnswered(self.session_id, self.leg.up_us, self.leg.dialog)
        )
        await self.leg.confirmed()

    async def play(self, clips: Sequence[Clip], *, then_recorded: bool = False) -> Playback | None:
        """Play clips to their end; raises `CallGone` if the leg ends first."""
        return await self.leg.play(clips, then_recorded=then_recorded)

    def record(
        self, name: str, *, limit_ms: int, shape: RecordingShape, after: Playback | None
    ) -> Tap:
        """Record the caller from now on, or from a playback's end; earlier keys are forgotten."""
        self.leg.forget_digits(after.over_at if after is not None else None)
        tap = self.leg.record(name, limit_ms=limit_ms, seal_for=shape.seal_for, after=after)
        clock = self.parts.clock
        began_us = clock.utc_us()
        if after is not None and after.over_at is not None:
            began_us -= max(0, round((clock.monotonic() - after.over_at) * 1e6))
        try:
            self.parts.handler.on_recording_started(
                RecordingStarted(self.session_id, name, tap.spool_path, shape, began_us)
            )
        except Exception:  # noqa: BLE001 (what is not followed is encoded as a whole at its end)
            _log.exception("recording_not_followed", session=self.session_id)
        return tap

    def monitor(self, name: str, shape: RecordingShape) -> None:
        """Record the whole call from now on, to its end."""
        monitor = Monitor(self.leg, name, shape)
        self._monitors.append(monitor)
        try:
            self.parts.handler.on_monitor_started(monitor.started(self.session_id))
        except Exception:  # noqa: BLE001 (as above)
            _log.exception("monitor_not_followed", session=self.session_id)

    async def sleep(self, duration_s: float) -> None:
        """Let time pass; raises `CallGone` if the leg ends first."""
        await self.unless_gone(asyncio.sleep(duration_s))

    async def next_digit(self) -> Digit:
        """The next digit that nobody took yet."""
        return await self.leg.next_digit()

    async def until_gone(self) -> None:
        """Return when the leg has ended."""
        await self.leg.ending.wait()

    async def until_unheld(self) -> None:
        """Return when the next block was accepted."""
        await self.unless_gone(self._running_superseded.wait())

    async def unless_gone(self, awaitable: Awaitable[T]) -> T:
        """Wait for `awaitable` unless the leg ends first: then `CallGone`."""
        return await self.leg.ending.unless(awaitable)

    @property
    def has_gone(self) -> bool:
        """Whether the leg has ended."""
        return self.leg.ending.has_come

    @property
    def gone_reason(self) -> EndReason:
        """Why the leg ended."""
        return self.leg.ending.reason

    @property
    def gone_at(self) -> float:
        """Monotonic seconds at which the leg ended."""
        return self.leg.ending.at

    async def tell(self, telling: Awaitable[None]) -> bool:
        """What cannot be written down is logged, and costs nothing that comes after it."""
        try:
            await telling
        except Exception:  # noqa: BLE001 (a fault of ours; the rest of the call must be told)
            _log.exception("call_event_not_noted", session=self.session_id)
            return False
        return True

    # Inside

    async def _run_block(
        self,
        plan: BlockPlan,
        previous: asyncio.Task[None] | None,
        superseded: asyncio.Event,
    ) -> None:
        if previous is not None:
            await asyncio.wait({previous})
        self._running_superseded = superseded
        outcome = await self._outcome_of(plan)
        if outcome.ends_call or plan.hangs_up_after or plan.command.block == "hangup":
            self.end(EndReason.COMPLETED, cause=outcome.ends_by)
        if self.has_gone:
            await self.leg.release()
        self._clocks.block_finishing(plan.run_id)
        noted = await self.tell(
            self.parts.handler.on_block_finished(
                BlockFinished(
                    session_id=self.session_id,
                    run_id=plan.run_id,
                    reason=outcome.reason,
                    at_us=self.leg.ending.at_us or self.parts.clock.utc_us(),
                    audio=outcome.audio,
                    digits=outcome.digits,
                    reached=outcome.reached,
                )
            )
        )
        if not noted:
            # The application will never be asked for a next block; the end of the call is
            # another chance to tell it of this one.
            self.end(EndReason.HANGUP)
            return
        self._clocks.block_ended(plan.run_id)
        if plan.command.notify_url is None:
            # Nobody is told, so nothing starts the idle clock but the end of the block.
            self._clocks.application_told()

    async def _outcome_of(self, plan: BlockPlan) -> Outcome:
        runner = RUNNERS[plan.command.block]
        try:
            if self.has_gone:
                raise CallGone
            if runner.needs_answer(plan):
                await self.connect()
            return await runner.run(self, plan)
        except CallGone:
            return Outcome(self.gone_reason)
        except Exception:  # noqa: BLE001
            # A fault of ours in one block must not leave a caller in silence for ever.
            _log.exception("block_failed", session=self.session_id, block=plan.command.block)
            self.end(EndReason.HANGUP, status=500)
            return Outcome(EndReason.HANGUP)

    def _leg_gone(self) -> None:
        self._clocks.stop()
        if self._duration is not None:
            self._duration.cancel()
        self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        """Tell the end after the running block's, then release everything."""
        ended_us = self.leg.ending.at_us
        handler = self.parts.handler
        try:
            if self._block is not None:
                await asyncio.wait({self._block})
            await self.leg.release()
            for run_id in self._hangup_runs:
                await self.tell(
                    handler.on_block_finished(
                        BlockFinished(self.session_id, run_id, EndReason.COMPLETED, ended_us)
                    )
                )
            ending = self.leg.ending
            await self.tell(
                handler.on_call_ended(
                    CallEnded(
                        self.session_id,
                        ended_us,
                        self.leg.disposition,
                        ending.cause,
                        ending.sip_status,
                    )
                )
            )
            for monitor in self._monitors:
                await self.tell(self._tell_monitor(monitor, ended_us))
        finally:
            self._is_over.set()
            self._on_over(self)

    async def _tell_monitor(self, monitor: Monitor, ended_us: int) -> None:
        await self.parts.handler.on_monitor_ended(await monitor.ended(self.session_id, ended_us))

    def _too_old(self) -> None:
        _log.warning("call_reached_max_call_s", session=self.session_id)
        self.end(EndReason.HANGUP, cause=CallEndCause.MAX_CALL)
