"""Dial: call the number, and say the message once it answers."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import CallGone, ConnectableCall, Outcome


class DialRunner:
    """The block of a call that we place; a far end that does not answer ends the call."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """It sees to that itself."""
        return False

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Call."""
        try:
            await call.connect()
            await call.play(plan.prompt)
        except CallGone:
            return Outcome(call.gone_reason, reached=call.leg.disposition)
        return Outcome(EndReason.COMPLETED, reached=call.leg.disposition)
