"""The recording of a whole call: what the caller says, and what the caller hears."""

from __future__ import annotations

from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.calls.events import MonitorEnded, MonitorStarted
from voiceblocks.engine.call_leg import CallLeg
from voiceblocks.engine.recorded_audio import recorded_audio
from voiceblocks.recordings.spool import HEARD_SUFFIX


class Monitor:
    """
    Two taps of one leg, from now to the leg's end.

    Args:
        leg: The caller's, which is up.
        name: The recording's id.
        shape: What it is to become.

    Raises:
        CapacityExceeded: If no recording ring is free.
    """

    def __init__(self, leg: CallLeg, name: str, shape: RecordingShape) -> None:
        self._shape = shape
        self._caller = leg.record(name, limit_ms=None, direction="in")
        try:
            self._heard = leg.record(name + HEARD_SUFFIX, limit_ms=None, direction="out")
        except BaseException:
            self._caller.close()
            raise

    def started(self, session_id: str) -> MonitorStarted:
        """What the workflows are told now."""
        return MonitorStarted(
            session_id,
            self._caller.name,
            self._caller.spool_path,
            self._heard.spool_path,
            self._shape,
        )

    async def ended(self, session_id: str, at_us: int) -> MonitorEnded:
        """Wait until both spools are complete; the leg must have been released."""
        caller, heard = await self._caller.closed(), await self._heard.closed()
        return MonitorEnded(
            session_id,
            recorded_audio(self._caller.name, caller, self._shape),
            recorded_audio(self._heard.name, heard),
            at_us,
        )
