"""Transfer: say the message, then connect the caller with numbers or a room."""

from __future__ import annotations

from dataclasses import replace

from voiceblocks.blocks.transfer import OnFailure, TransferCommand
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition
from voiceblocks.engine.conversation import converse
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import ConnectableCall, Outcome
from voiceblocks.errors import ContractViolation


class TransferRunner:
    """A conversation that came about ends the call; one that did not, only if asked to."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """The caller is answered before somebody else is called."""
        return True

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """Transfer."""
        command = plan.command
        if not isinstance(command, TransferCommand) or plan.transfer is None:
            raise ContractViolation(f"not a transfer plan: {command.block}")
        await call.play(plan.prompt)
        outcome = await converse(call, plan.transfer)
        failed = outcome.reached is not Disposition.ANSWERED
        if failed and command.on_failure is OnFailure.HANGUP:
            return replace(outcome, ends_call=True, ends_by=CallEndCause.NOT_CONNECTED)
        return outcome
