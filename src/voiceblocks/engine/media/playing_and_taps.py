"""What the control process holds of clips that play on a leg, and of its recordings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voiceblocks.engine.media import messages as m

if TYPE_CHECKING:
    from voiceblocks.engine.media.handles import MediaLeg


@dataclass(frozen=True, slots=True)
class TapResult:
    """How a tap ended; its spool is complete and synced."""

    n_samples: int
    "Samples from its time zero to its end: wall-clock time, 8000 a second."
    limit_reached: bool
    lost_worker: bool
    "The worker died; what it had placed is kept."
    spool_path: Path
    stats: m.TapStats


class Playback:
    """Clips that play on a leg."""

    def __init__(self, leg: MediaLeg, source: int) -> None:
        self.source = source
        self.over_at: float | None = None
        "When it was over (monotonic seconds); `None` while it plays, or where that is not known."
        self._leg = leg
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        """Stop playing; `wait` returns `False`. Fine when it has ended already."""
        if not self._ended.done():
            self._leg.post(m.StopSource(self._leg.ident, self.source))

    async def wait(self) -> bool:
        """Wait for the last packet to leave; `False` when stopped, replaced or lost."""
        return await asyncio.shield(self._ended)

    def on_ended(self, *, completed: bool, over_at: float | None = None) -> None:
        """For the plane: the worker reported the end, or died."""
        self.over_at = over_at
        if not self._ended.done():
            self._ended.set_result(completed)


class Tap:
    """A recording of what a leg receives or sends."""

    def __init__(self, leg: MediaLeg, tap: int, row: int, name: str, law: str, path: Path) -> None:
        self.leg = leg
        self.ident = tap
        self.row = row
        self.name = name
        self.law = law
        self.spool_path = path
        self.is_lost = False
        "Whether the worker died before it closed the tap."
        self._report: m.TapClosed | None = None
        self._result: asyncio.Future[TapResult] = asyncio.get_running_loop().create_future()

    def close(self, *, at: float | None = None, at_timestamp: int | None = None) -> None:
        """
        End the tap.

        Args:
            at: The instant it ends (monotonic seconds); now, where left out.
            at_timestamp: End exactly at this RTP timestamp of `DigitReceived` instead.
        """
        if not self._result.done():
            instant = self.leg.now() if at is None else at
            self.leg.post(m.CloseTap(self.leg.ident, self.ident, instant, at_timestamp))

    def pause(self, *, at: float, paused: bool) -> bool:
        """
        Keep nothing from an instant on (monotonic seconds), or go on from there.

        Returns:
            `False` for a tap that has ended.
        """
        if self._report is not None or self.is_lost or self._result.done():
            return False
        self.leg.post(m.PauseTap(self.leg.ident, self.ident, at, paused))
        return True

    async def closed(self) -> TapResult:
        """Wait until the tap has ended, by whatever cause, and its spool is complete on disk."""
        return await asyncio.shield(self._result)

    @property
    def flushing(self) -> m.TapClosed | None:
        """The worker's report, while the keeper completes the spool."""
        return self._report

    def on_closed(self, report: m.TapClosed | None) -> None:
        """For the plane: the worker closed it, or died (`None`)."""
        self._report = report
        self.is_lost = report is None

    def on_flushed(self, n_samples: int) -> None:
        """For the plane: the spool is complete."""
        report = self._report
        if not self._result.done():
            self._result.set_result(
                TapResult(
                    n_samples=n_samples,
                    limit_reached=report is not None and report.limit_reached,
                    lost_worker=self.is_lost,
                    spool_path=self.spool_path,
                    stats=report.stats if report is not None else m.TapStats(),
                )
            )
