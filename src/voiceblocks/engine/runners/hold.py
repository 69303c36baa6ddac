"""Hold: music or the message again and again, until the application takes the call back."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import ConnectableCall, Outcome


class HoldRunner:
    """Ends with the unhold block, or with the call."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Middle blocks answer the call."""
        return True

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Hold."""
        with call.leg.looping(plan.prompt):
            await call.until_unheld()
        return Outcome(EndReason.COMPLETED)
