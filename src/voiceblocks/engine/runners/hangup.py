"""Hangup: say the message if there is one; the engine ends the call after it."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import Outcome, RunnerCall


class HangupRunner:
    """A ringing call is answered only to say something (decision 10)."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Only a message needs an answered call."""
        return bool(plan.prompt)

    async def run(self, call: RunnerCall, plan: BlockPlan) -> Outcome:
        """Play what there is."""
        if plan.prompt:
            await call.play(plan.prompt)
        return Outcome(EndReason.COMPLETED)
