"""Play: say the message, nothing else."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import Outcome, RunnerCall


class PlayRunner:
    """Plays the prompt to its end; keys do not interrupt it."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Middle blocks answer the call."""
        return True

    async def run(self, call: RunnerCall, plan: BlockPlan) -> Outcome:
        """Play."""
        await call.play(plan.prompt)
        return Outcome(EndReason.COMPLETED)
