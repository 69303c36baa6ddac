"""Recordings go when their keep time is over: an application's own, or that of the settings.

It counts from readiness. What is held stays, whatever its age.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database import recordings, used_links
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.recordings.act import Doer
from voiceblocks.recordings.errors import RecordingNotReady, RecordingOnHold, UnknownRecording
from voiceblocks.workflows.delete_recording import mark_deleted

_log = get_logger("recordings")

PERIOD_S: Final = 600.0
AT_ONCE: Final = 100
"Recordings in one transaction: calls must not wait long for the database."
KEEP_TIME: Final = "keep time"
"Who deleted them, in the record of the deletion."


class ExpireRecordings:
    """
    Looks now and then.

    Args:
        database: Knows how old everything is.
        default_days: Keep time of applications without one of their own; 0 is for ever.
        clock: The present.
    """

    def __init__(self, *, database: Database, default_days: int, clock: Clock) -> None:
        self._database = database
        self._default_days = default_days
        self._clock = clock

    async def run(self) -> None:
        """Go on for ever; cancel it to stop."""
        while True:
            try:
                while await self.once() == AT_ONCE:
                    pass
            except Exception:  # noqa: BLE001 (a lost database: the next round may do)
                _log.exception("recordings_not_expired")
            await asyncio.sleep(PERIOD_S)

    async def once(self) -> int:
        """Delete at most `AT_ONCE` that are too old; returns how many."""
        deleted = await self._database.run(self._delete)
        if deleted:
            _log.info("recordings_expired", count=deleted)
        return deleted

    def _delete(self, connection: Connection) -> int:
        now_us = self._clock.utc_us()
        used_links.delete_expired(connection, now_us // 1_000_000)
        doer = Doer(KEEP_TIME, "its keep time is over", now_us)
        deleted = 0
        for recording in recordings.list_too_old(connection, self._default_days, now_us, AT_ONCE):
            try:
                mark_deleted(connection, recording.id, doer)
            except (UnknownRecording, RecordingNotReady, RecordingOnHold):
                # Somebody was faster.
                continue
            deleted += 1
        return deleted
