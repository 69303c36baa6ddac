"""Keeps the prompt cache within its limits while the node runs, away from what carries calls.

Every half minute the clips that calls still have are touched, and a render child looks through
the folder and deletes what is too old or too much; less often where the folder is so large that
looking would cost more than a hundredth of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time

from voiceblocks.adapters.cache_folder import SPARED_S, CacheLimits
from voiceblocks.adapters.render.cache import ClipCache, touch
from voiceblocks.adapters.render.lane import JobFailedError, Lane
from voiceblocks.adapters.render.messages import SweepCache
from voiceblocks.log import get_logger

INTERVAL_S = SPARED_S / 4
PAUSE_PER_SWEEP = 100.0
"How many times as long as a sweep took is waited before the next."

SWEEP_LIMIT_S = 60.0
"For a million files; more than that counts as a hang."

_log = get_logger("render")


class CacheKeeper:
    """
    Belongs to one asyncio loop.

    Args:
        cache: Whose clips are in use.
        lane: Whose child has the cache's folder.
        numbers: Job numbers that nobody had before.
        limits: What the cache may hold.
    """

    def __init__(
        self, cache: ClipCache, lane: Lane, numbers: itertools.count[int], limits: CacheLimits
    ) -> None:
        self._cache = cache
        self._lane = lane
        self._numbers = numbers
        self._limits = limits
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with a look at what the last process left."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; fine when it never began."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> None:
        """Let the child delete what is too old or too much, but nothing that is in use."""
        await self._touch()
        message = SweepCache(
            job=next(self._numbers),
            max_bytes=self._limits.max_bytes,
            max_age_s=self._limits.max_age_s,
        )
        future = self._lane.submit(message, SWEEP_LIMIT_S)
        await asyncio.wait({future})
        try:
            future.result()
        except JobFailedError as error:
            _log.warning("cache_not_swept", reason=str(error))

    async def _run(self) -> None:
        next_sweep_at = 0.0
        while True:
            began_at = time.monotonic()
            if began_at >= next_sweep_at:
                await self.sweep()
                now = time.monotonic()
                next_sweep_at = now + PAUSE_PER_SWEEP * (now - began_at)
            else:
                await self._touch()
            await asyncio.sleep(INTERVAL_S)

    async def _touch(self) -> None:
        await asyncio.to_thread(touch, self._cache.held())
