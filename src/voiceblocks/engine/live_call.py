"""One call while it lives: its SIP leg, its media leg, and the block that runs on it.

The leg goes through RINGING, UP and GONE, once each and never back. Blocks run one at
a time in a task; whatever ends the leg sets `gone`, which every runner waits for.
Handler calls of one call are made one after another: a block's end before the call's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import TypeVar

from voiceblocks.calls.events import (
    BlockFinished,
    CallAnswered,
    CallEnded,
    CallHandler,
    Disposition,
    EndReason,
    RecordingStarted,
)
from voiceblocks.clock import Clock
from voiceblocks.engine import goodbye
from voiceblocks.engine.call_clocks import CallClocks, CallLimits
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.leg_end import LegEnd
from voiceblocks.engine.media.handles import Tap
from voiceblocks.engine.media_session import MediaSession
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import CallGone, Outcome
from voiceblocks.engine.runners.registry import RUNNERS
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.errors import CapacityExceeded, ContractViolation, LocalSipError, RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.dtmf_info import read_digit
from voiceblocks.sip.flow import Flow
from voiceblocks.speech.interfaces import Clip

T = TypeVar("T")

_log = get_logger("call")


class LegState(Enum):
    """Where the leg is in its life."""

    RINGING = auto()
    UP = auto()
    GONE = auto()


class LiveCall:
    """
    A call from its first ring to its last word.

    Args:
        session_id: The session that drives it.
        leg: Handle of the INVITE dialog in the SIP core.
        flow: By which the INVITE came.
        endpoint: Where SIP commands go.
        media: The media side; not opened yet.
        handler: Told about everything that happens.
        clock: For time stamps.
        limits: How long things may take.
        on_over: Called once when all has been told and released.
    """

    def __init__(
        self,
        *,
        session_id: str,
        leg: int,
        flow: Flow,
        endpoint: SipEndpoint,
        media: MediaSession,
        handler: CallHandler,
        clock: Clock,
        limits: CallLimits,
        on_over: Callable[[LiveCall], None],
    ) -> None:
        self.session_id = session_id
        self.leg = leg
        self._flow = flow
        self._endpoint = endpoint
        self._media = media
        self._handler = handler
        self._clock = clock
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._state = LegState.RINGING
        self._end = LegEnd()
        self._answer_sent = asyncio.Event()
        self._dialog = ""
        self._confirmed = asyncio.Event()
        self._disposition = Disposition.NO_ANSWER
        self._hangup_runs: list[str] = []
        self._block: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()
        self._clocks = CallClocks(
            limits,
            on_patience_over=lambda: self.end(EndReason.HANGUP),
            on_too_old=self._too_old,
        )
        media.on_lost = lambda: self.end(EndReason.SERVER_RESTART)
        media.on_silent = self._probe

    # Commands from the workflows, by way of the call engine

    def start_block(self, plan: BlockPlan) -> None:
        """Run a block; the session's state table has seen to it that none is running."""
        self._clocks.block_started(plan.run_id, getattr(plan.command, "max_duration_s", 0))
        previous = self._block
        self._block = self._loop.create_task(self._run_block(plan, previous))

    def force_hangup(self, run_id: str) -> None:
        """End the call now, whatever runs; the hangup block `run_id` is finished with it."""
        self._hangup_runs.append(run_id)
        self.end(EndReason.FORCED)

    def application_told(self) -> None:
        """The notification that makes the session ready leaves: the idle clock runs."""
        self._clocks.application_told()

    def hold_clocks(self) -> AbstractContextManager[None]:
        """While a block for this call is being prepared, nobody is hung up for lack of one."""
        return self._clocks.hold()

    # What the SIP leg tells

    def on_answer_sent(self) -> None:
        """Our 200 has left: the call is up and costs money, whatever the caller does next."""
        if self._state is not LegState.RINGING:
            return
        try:
            self._dialog = goodbye.remember(self._endpoint, self.leg, self._flow)
        except LocalSipError:
            # Sending it told that the connection is lost; the end of the leg follows.
            return
        self._state = LegState.UP
        self._disposition = Disposition.ANSWERED
        self._answer_sent.set()

    def on_confirmed(self, answer: bytes | None) -> None:
        """ACK came, with the SDP answer where our 200 carried the offer."""
        try:
            if answer is not None:
                self._media.accept_answer(answer)
            elif self._media.awaits_first_answer:
                raise RemoteSipError("the ACK holds no answer to our offer")
        except RemoteSipError as error:
            _log.info("late_answer_unusable", session=self.session_id, reason=error.reason)
            self.end(EndReason.HANGUP)
            return
        self._confirmed.set()

    def on_offer(self, offer: bytes | None) -> None:
        """A re-INVITE or UPDATE; without SDP it asks for our offer."""
        try:
            sdp: bytes | None = (
                self._media.offer_again() if offer is None else self._media.answer_offer(offer)
            )
        except (RemoteSipError, ContractViolation) as error:
            # The latter: an offer for a leg that is not open yet, or not any more.
            _log.info("reoffer_refused", session=self.session_id, reason=str(error))
            sdp = None
        self._endpoint.try_run(lambda ua, now: ua.answer_offer(self.leg, sdp, now))

    def on_offer_answered(self, answer: bytes | None) -> None:
        """The ACK of a re-INVITE that asked for our offer."""
        self.on_confirmed(answer)

    def on_info(self, content_type: str, body: bytes) -> None:
        """An INFO, which may tell of a pressed key."""
        key = read_digit(content_type, body)
        if key is not None:
            self._media.digits.put(Digit(key, self._clock.monotonic(), None))

    def on_leg_ended(self) -> None:
        """BYE, CANCEL, a lost ACK, an expired session: the core has said what is due."""
        self._leave(EndReason.HANGUP, Disposition.CANCELLED)

    def end(self, reason: EndReason, *, status: int | None = None) -> None:
        """
        End the leg from our side.

        Args:
            reason: Why.
            status: The SIP answer if it still rings; by `reason` if omitted.
        """
        if self._state is LegState.GONE:
            return
        if self._state is LegState.RINGING and status is not None:
            self._refuse(status, reason=reason)
        elif self._state is LegState.RINGING:
            rejected = reason in (EndReason.FORCED, EndReason.COMPLETED)
            status = 603 if rejected else 480
            self._endpoint.try_run(lambda ua, now: ua.refuse(self.leg, status, now))
            self._leave(reason, Disposition.REJECTED if rejected else Disposition.NO_ANSWER)
        else:
            self._endpoint.try_run(lambda ua, now: ua.hang_up(self.leg, now))
            self._leave(reason, Disposition.ANSWERED)

    async def over(self) -> None:
        """Wait until the leg has ended and everything about the call is told and released."""
        await self._is_over.wait()

    # What runners may do (runners.interfaces.RunnerCall)

    async def play(self, clips: Sequence[Clip]) -> None:
        """Play clips to their end; raises `CallGone` if the leg ends first."""
        if clips:
            playback = self._media.play(clips)
            try:
                await self.unless_gone(playback.wait())
            except (CallGone, asyncio.CancelledError):
                playback.stop()
                raise

    def record(self, name: str, *, limit_ms: int) -> Tap:
        """Record the caller from now on; what was pressed before is forgotten."""
        self.forget_digits()
        tap = self._media.record(name, limit_ms=limit_ms)
        try:
            self._handler.on_recording_started(
                RecordingStarted(self.session_id, name, tap.spool_path)
            )
        except Exception:  # noqa: BLE001 (what is not followed is encoded as a whole at its end)
            _log.exception("recording_not_followed", session=self.session_id)
        return tap

    async def sleep(self, duration_s: float) -> None:
        """Let time pass; raises `CallGone` if the leg ends first."""
        await self.unless_gone(asyncio.sleep(duration_s))

    def forget_digits(self) -> None:
        """Drop what was pressed so far."""
        self._media.digits.forget()

    async def next_digit(self) -> Digit:
        """The next digit that nobody took yet."""
        return await self._media.digits.next()

    async def until_gone(self) -> None:
        """Return when the leg has ended."""
        await self._end.wait()

    async def unless_gone(self, awaitable: Awaitable[T]) -> T:
        """Wait for `awaitable` unless the leg ends first: then `CallGone`."""
        return await self._end.unless(awaitable)

    @property
    def gone_reason(self) -> EndReason:
        """Why the leg ended."""
        return self._end.reason

    @property
    def gone_at(self) -> float:
        """Monotonic seconds at which the leg ended."""
        return self._end.at

    # Inside

    async def _run_block(self, plan: BlockPlan, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait({previous})
        runner = RUNNERS[plan.command.block]
        ends_call = plan.hangs_up_after or plan.command.block == "hangup"
        try:
            if self._state is LegState.GONE:
                raise CallGone
            if runner.needs_answer(plan) and self._state is LegState.RINGING:
                await self._answer()
            outcome = await runner.run(self, plan)
        except CallGone:
            outcome = Outcome(self._end.reason)
        except Exception:  # noqa: BLE001
            # A fault of ours in one block must not leave a caller in silence for ever.
            _log.exception("block_failed", session=self.session_id, block=plan.command.block)
            outcome = Outcome(EndReason.HANGUP)
            self.end(EndReason.HANGUP, status=500)
        if ends_call:
            self.end(EndReason.COMPLETED)
        if self._state is LegState.GONE:
            await self._release_media()
        self._clocks.block_finishing(plan.run_id)
        noted = await self._tell(
            self._handler.on_block_finished(
                BlockFinished(
                    session_id=self.session_id,
                    run_id=plan.run_id,
                    reason=outcome.reason,
                    at_us=self._end.at_us or self._clock.utc_us(),
                    audio=outcome.audio,
                    digits=outcome.digits,
                )
            )
        )
        if noted:
            self._clocks.block_ended(plan.run_id)
        else:
            # The application will never be asked for a next block; the end of the call is
            # another chance to tell it of this one.
            self.end(EndReason.HANGUP)

    async def _answer(self) -> None:
        """Answer the ringing leg and wait for the ACK, so that nothing is said into the void."""
        try:
            sdp = await self._media.open()
        except CapacityExceeded:
            self._refuse(503, [("Retry-After", "10")])
            raise CallGone from None
        except RemoteSipError as error:
            self._refuse(error.status_hint)
            raise CallGone from None
        if self._end.has_come:
            raise CallGone
        try:
            if self._endpoint.run(lambda ua, now: ua.answer(self.leg, sdp, now)):
                self.on_answer_sent()
        except LocalSipError:
            self._leave(EndReason.HANGUP, Disposition.CANCELLED)
        if not self._answer_sent.is_set():
            # It waits for a PRACK, or never left.
            await self.unless_gone(self._answer_sent.wait())
        await self._handler.on_call_answered(
            CallAnswered(self.session_id, self._clock.utc_us(), self._dialog)
        )
        await self.unless_gone(self._confirmed.wait())

    def _refuse(
        self,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
        *,
        reason: EndReason = EndReason.HANGUP,
    ) -> None:
        """The application wanted the call, but it cannot be answered."""
        self._endpoint.try_run(lambda ua, now: ua.refuse(self.leg, status, now, headers=headers))
        self._leave(reason, Disposition.FAILED)

    def _leave(self, reason: EndReason, unanswered: Disposition) -> None:
        if self._state is LegState.GONE:
            return
        if self._state is LegState.RINGING:
            self._disposition = unanswered
        self._state = LegState.GONE
        self._clocks.stop()
        self._end.come(reason, self._clock.monotonic(), self._clock.utc_us())
        self._closing = self._loop.create_task(self._close())

    async def _close(self) -> None:
        """Tell the end after the running block's, then release everything."""
        try:
            if self._block is not None:
                await asyncio.wait({self._block})
            await self._release_media()
            for run_id in self._hangup_runs:
                await self._tell(
                    self._handler.on_block_finished(
                        BlockFinished(self.session_id, run_id, EndReason.COMPLETED, self._end.at_us)
                    )
                )
            await self._tell(
                self._handler.on_call_ended(
                    CallEnded(self.session_id, self._end.at_us, self._disposition)
                )
            )
        finally:
            self._is_over.set()
            self._on_over(self)

    async def _tell(self, telling: Awaitable[None]) -> bool:
        """What cannot be written down is logged, and costs nothing that comes after it."""
        try:
            await telling
        except Exception:  # noqa: BLE001 (a fault of ours; the rest of the call must be told)
            _log.exception("call_event_not_noted", session=self.session_id)
            return False
        return True

    async def _release_media(self) -> None:
        try:
            await self._media.close()
        except Exception:  # noqa: BLE001 (the call's end must be told whatever media do)
            _log.exception("media_not_released", session=self.session_id)

    def _too_old(self) -> None:
        _log.warning("call_reached_max_call_s", session=self.session_id)
        self.end(EndReason.HANGUP)

    def _probe(self, silent_s: float) -> None:
        _log.info("no_rtp_probing", session=self.session_id, silent_s=round(silent_s))
        self._endpoint.try_run(lambda ua, now: ua.probe(self.leg, now))
