"""Record: prompt, beep, then the caller's voice until a key, the limit or hang-up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from voiceblocks.blocks.record import RecordCommand
from voiceblocks.calls.events import EndReason
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.media.handles import Tap
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.recorded_audio import recorded_audio
from voiceblocks.engine.runners.interfaces import Outcome, RunnerCall
from voiceblocks.engine.silence_watch import until_silent
from voiceblocks.errors import ContractViolation


class RecordRunner:
    """
    Keys pressed before the beep has ended do nothing.

    A caller who leaves before the recording has begun leaves none; one who leaves
    during it leaves all that was said until then.
    """

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Middle blocks answer the call."""
        return True

    async def run(self, call: RunnerCall, plan: BlockPlan) -> Outcome:
        """Record."""
        played = await call.play(
            plan.prompt if plan.beep is None else (*plan.prompt, plan.beep), then_recorded=True
        )
        if plan.hangs_up_after:
            return Outcome(EndReason.COMPLETED)
        command = plan.command
        if not isinstance(command, RecordCommand) or plan.recording_name is None:
            raise ContractViolation(f"not a recording plan: {plan.command.block}")
        tap = call.record(
            plan.recording_name,
            limit_ms=command.max_duration_s * 1000,
            shape=plan.recording_shape,
            after=played,
        )
        reason, key = await self._until_over(call, tap, command)
        result = await tap.closed()
        if result.lost_worker:
            reason = EndReason.SERVER_RESTART
        return Outcome(
            reason, recorded_audio(plan.recording_name, result, plan.recording_shape, key)
        )

    async def _until_over(
        self, call: RunnerCall, tap: Tap, command: RecordCommand
    ) -> tuple[EndReason, str | None]:
        """
        Wait for what ends the recording first, and close the tap at exactly that point.

        Returns:
            Why it ended, and the key that did it.
        """
        key_pressed = _task(self._finish_key(call, command.finish_keys))
        limit_reached = _task(tap.closed())
        gone = _task(call.until_gone())
        silent = _task(self._silence(tap, command.max_silence_s))
        waiting: set[asyncio.Task[Any]] = {key_pressed, limit_reached, gone, silent}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if limit_reached.done():
                return EndReason.MAX_DURATION, None
            if key_pressed.done():
                # By INFO there is no timestamp: then it ends at the instant in which it came, and
                # what is heard of the key before that is cut off when the recording is finished.
                key = key_pressed.result()
                tap.close(at=key.at, at_timestamp=key.timestamp)
                return EndReason.FINISH_KEY, key.key
            if silent.done() and not gone.done():
                tap.close(at=silent.result())
                return EndReason.MAX_SILENCE, None
            tap.close(at=call.gone_at)
            return call.gone_reason, None
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    @staticmethod
    async def _silence(tap: Tap, limit_s: int | None) -> float:
        if limit_s is None:
            return await asyncio.Future[float]()
        return await until_silent(tap.spool_path, limit_s)

    @staticmethod
    async def _finish_key(call: RunnerCall, finish_keys: str) -> Digit:
        while True:
            digit = await call.next_digit()
            if digit.key in finish_keys:
                return digit


def _task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(coroutine)
