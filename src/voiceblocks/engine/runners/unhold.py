"""Unhold: the hold has ended by the time that this runs, so nothing is left to do."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import ConnectableCall, Outcome


class UnholdRunner:
    """Its end tells the application that the next block may come."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """The hold answered the call."""
        return False

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Unhold."""
        return Outcome(EndReason.COMPLETED)
