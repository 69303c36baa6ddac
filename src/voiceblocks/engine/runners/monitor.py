"""Monitor: say the message, then record the whole call beside whatever comes next."""

from __future__ import annotations

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import ConnectableCall, Outcome
from voiceblocks.errors import ContractViolation


class MonitorRunner:
    """The block ends when the recording has begun; the recording ends with the call."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Middle blocks answer the call."""
        return True

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Begin."""
        if plan.recording_name is None:
            raise ContractViolation("not a monitor plan: no recording")
        await call.play(plan.prompt)
        call.monitor(plan.recording_name, plan.recording_shape)
        return Outcome(EndReason.COMPLETED)
