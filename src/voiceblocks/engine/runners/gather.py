"""Gather: the prompt, then what the caller types until `#`, enough digits or silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from voiceblocks.blocks.gather import GatherCommand
from voiceblocks.calls.events import EndReason
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.engine.runners.interfaces import CallGone, Outcome, RunnerCall
from voiceblocks.errors import ContractViolation

FINISH_KEY = "#"


class GatherRunner:
    """
    A key stops the prompt and counts; keys pressed before the block do not (decision 31).

    The timeout runs from the end of the prompt to the first key, and anew from each key to
    the next. Only where nothing was typed is there a next attempt. A caller who leaves
    leaves what was typed until then.
    """

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Middle blocks answer the call."""
        return True

    async def run(self, call: RunnerCall, plan: BlockPlan) -> Outcome:
        """Gather."""
        command = plan.command
        if not isinstance(command, GatherCommand):
            raise ContractViolation(f"not a gather plan: {command.block}")
        typed: list[str] = []
        keys = _Keys(call)
        reason = EndReason.TIMEOUT
        try:
            for _attempt in range(command.attempts):
                reason = await _take(call, keys, plan, command, typed)
                if typed or reason is not EndReason.TIMEOUT:
                    break
        except CallGone:
            reason = call.gone_reason
        finally:
            await keys.close()
        return Outcome(reason, digits="".join(typed))


async def _take(
    call: RunnerCall, keys: _Keys, plan: BlockPlan, command: GatherCommand, typed: list[str]
) -> EndReason:
    """One attempt; adds to `typed` and says what ended it."""
    key = await keys.unless(call.play(plan.prompt))
    if key is None:
        key = await keys.unless(call.sleep(command.timeout_s))
    while key is not None:
        if key == FINISH_KEY:
            return EndReason.FINISH_KEY
        typed.append(key)
        if len(typed) == command.max_digits:
            return EndReason.COMPLETED
        key = await keys.unless(call.sleep(command.timeout_s))
    return EndReason.TIMEOUT


class _Keys:
    """Waits for keys beside other things, and loses none when the other thing is over first."""

    def __init__(self, call: RunnerCall) -> None:
        self._call = call
        self._next: asyncio.Task[Digit] | None = None

    async def unless(self, other: Coroutine[Any, Any, object]) -> str | None:
        """
        The next key, which cancels `other`; `None` if `other` is done first.

        Raises:
            CallGone: If `other` does, and no key came before.
        """
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.create_task(self._call.next_digit())
        over = loop.create_task(other)
        try:
            await asyncio.wait({self._next, over}, return_when=asyncio.FIRST_COMPLETED)
            if not self._next.done():
                over.result()
                return None
            taken, self._next = self._next, None
            return taken.result().key
        finally:
            over.cancel()
            await asyncio.gather(over, return_exceptions=True)

    async def close(self) -> None:
        """Wait for no further key."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
