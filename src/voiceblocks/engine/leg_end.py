"""The end of a leg, as something that everything else can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import EndReason
from voiceblocks.engine.runners.interfaces import CallGone

T = TypeVar("T")


class LegEnd:
    """Comes once."""

    def __init__(self) -> None:
        self._come = asyncio.Event()
        self.reason = EndReason.HANGUP
        "Why; only meaningful once it came."
        self.at = 0.0
        "Monotonic seconds; only meaningful once it came."
        self.at_us = 0
        "UTC microseconds; 0 before it came."
        self.cause: CallEndCause | None = None
        "Who or what ended it."
        self.sip_status: int | None = None
        "The answer that refused an INVITE of ours."

    @property
    def has_come(self) -> bool:
        """Whether the leg has ended."""
        return self._come.is_set()

    def come(
        self,
        reason: EndReason,
        at: float,
        at_us: int,
        cause: CallEndCause | None = None,
        sip_status: int | None = None,
    ) -> None:
        """The leg has ended."""
        self.reason, self.at, self.at_us = reason, at, at_us
        self.cause, self.sip_status = cause, sip_status
        self._come.set()

    async def wait(self) -> None:
        """Return when the leg has ended."""
        await self._come.wait()

    async def unless(self, awaitable: Awaitable[T]) -> T:
        """
        Wait for `awaitable`, which is cancelled if the leg ends first.

        What was cancelled has stopped when this returns, so nothing that it had opened can
        appear after the leg was tidied up.

        Raises:
            CallGone: If the leg ended first.
        """
        wanted = asyncio.ensure_future(awaitable)
        come = asyncio.get_running_loop().create_task(self._come.wait())
        try:
            await asyncio.wait({wanted, come}, return_when=asyncio.FIRST_COMPLETED)
            if wanted.done():
                return wanted.result()
            raise CallGone
        finally:
            come.cancel()
            if wanted.cancel():
                await asyncio.wait({wanted})
