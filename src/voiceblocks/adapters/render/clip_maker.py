"""From the cache, or made once for all who want it: what every kind of prompt shares."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

from voiceblocks.adapters.render.cache import ClipCache
from voiceblocks.adapters.render.lane import JobFailedError, Lane
from voiceblocks.adapters.render.messages import Job
from voiceblocks.speech.interfaces import Clip


class ClipMaker:
    """
    Makes cache entries by the jobs of lanes. Belongs to one asyncio loop.

    Args:
        cache: Where entries are found afterwards.
        numbers: Job numbers that nobody had before.
    """

    def __init__(self, cache: ClipCache, numbers: itertools.count[int]) -> None:
        self._cache = cache
        self._numbers = numbers
        self._running: dict[str, asyncio.Future[Any]] = {}

    def find(self, key: str) -> Clip | None:
        """The entry, if it was made before."""
        return self._cache.find(key)

    async def make(
        self, lane: Lane, key: str, message: Callable[[int], Job], limit_s: float
    ) -> Clip:
        """
        Find the entry, or let a lane make it.

        Args:
            lane: Whose child has the cache.
            key: Of the entry.
            message: The job, by its number.
            limit_s: As for `Lane.submit`.

        Raises:
            JobFailedError: If it cannot be made.
        """
        clip = self._cache.find(key)
        if clip is not None:
            return clip
        future = self._running.get(key)
        if future is None:
            future = self._remember(key, lane.submit(message(next(self._numbers)), limit_s))
        return await self._wait_for(key, future)

    async def make_once(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> Clip:
        """
        Find the entry, or make it by `work`, which goes on when who asked first hangs up.

        Raises:
            JobFailedError: If it is not there afterwards.
            Exception: Whatever `work` raises.
        """
        clip = self._cache.find(key)
        if clip is not None:
            return clip
        # Its own name: within `work` the lane's job has the key itself.
        name = f"{key} once"
        future = self._running.get(name)
        if future is None:
            future = self._remember(name, asyncio.ensure_future(work()))
        return await self._wait_for(key, future)

    async def stop(self) -> None:
        """Cancel what is not a lane's."""
        own = [each for each in self._running.values() if isinstance(each, asyncio.Task)]
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)

    def _remember(self, name: str, future: asyncio.Future[Any]) -> asyncio.Future[Any]:
        self._running[name] = future

        def forget(done: asyncio.Future[Any]) -> None:
            self._running.pop(name, None)
            # Whoever asked may have gone; nobody needs to hear of the failure then.
            if not done.cancelled():
                done.exception()

        future.add_done_callback(forget)
        return future

    async def _wait_for(self, key: str, future: asyncio.Future[Any]) -> Clip:
        # `wait` leaves the job alone when this caller hangs up: others may want it too.
        await asyncio.wait({future})
        if future.cancelled():
            raise JobFailedError("the render pool stops")
        future.result()
        clip = self._cache.find(key)
        if clip is None:
            raise JobFailedError("the cache lost it")
        return clip
