"""A few requests at a time; accounts that wait have their turns, as in the render lanes."""

from __future__ import annotations

import asyncio
from types import TracebackType

from voiceblocks.adapters.render.turns import Turns
from voiceblocks.speech.asked_by import ASKED_BY


class RequestSlots:
    """
    As `async with slots:`. Belongs to one asyncio loop.

    Args:
        at_once: How many may be inside.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    async def __aenter__(self) -> None:
        """Wait for a slot."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ASKED_BY.get(), turn)
        try:
            await turn
        except asyncio.CancelledError:
            # The slot may have come in the same moment.
            if turn.done() and not turn.cancelled():
                self._hand_on()
            else:
                self._waiting.remove(turn)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the slot to whose turn it is."""
        self._hand_on()

    def _hand_on(self) -> None:
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
