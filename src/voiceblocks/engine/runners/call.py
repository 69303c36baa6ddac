"""The two calls that no application drives: `voice/call`, and a conference's participant.

Both call a number and connect whoever answers: with a second number, or with a room.
"""

from __future__ import annotations

from dataclasses import replace

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.engine.conversation import converse
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import CallGone, ConnectableCall, Outcome
from voiceblocks.errors import ContractViolation


class CallRunner:
    """Ends with the conversation, however it came about."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """It sees to that itself."""
        return False

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Call, and connect."""
        if plan.transfer is None:
            raise ContractViolation(f"nobody to connect with: {plan.command.block}")
        try:
            await call.connect()
        except CallGone:
            return Outcome(call.gone_reason, reached=call.leg.disposition)
        outcome = await converse(call, plan.transfer)
        return replace(
            outcome, ends_call=True, ends_by=outcome.ends_by or CallEndCause.NOT_CONNECTED
        )
