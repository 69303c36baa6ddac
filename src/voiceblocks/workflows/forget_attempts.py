"""Attempts of notifications are kept for so many days, and then forgotten."""

from __future__ import annotations

import asyncio

from voiceblocks.clock import Clock
from voiceblocks.database import notification_attempts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger

_DAY_US = 86_400 * 1_000_000
_PAUSE_S = 3600.0
_BATCH = 500
"Deleted in one transaction, which others wait for."
_log = get_logger("notifications")


class ForgetAttempts:
    """
    Deletes old attempts, once an hour.

    Args:
        database: The node's database.
        clock: UTC.
        keep_days: How old an attempt may be; 0 keeps all for ever.
    """

    def __init__(self, database: Database, clock: Clock, keep_days: int) -> None:
        self._database = database
        self._clock = clock
        self._keep_days = keep_days

    async def run(self) -> None:
        """Go on until cancelled."""
        while self._keep_days:
            try:
                await self.forget()
            except Exception:  # noqa: BLE001 - a full disk today may not be one in an hour
                _log.exception("attempts_not_forgotten")
            await asyncio.sleep(_PAUSE_S)

    async def forget(self) -> int:
        """Delete what is too old now; returns how many."""
        if not self._keep_days:
            return 0
        before_us = self._clock.utc_us() - self._keep_days * _DAY_US
        n_all = 0
        while n := await self._database.run(
            lambda connection: notification_attempts.forget(connection, before_us, _BATCH)
        ):
            n_all += n
        if n_all:
            _log.info("attempts_forgotten", attempts=n_all)
        return n_all
