"""What is kept for so many days is forgotten then: attempts of notifications, calls' stories."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger

_DAY_US = 86_400 * 1_000_000
_PAUSE_S = 3600.0
_BATCH = 500
"Rows that are deleted in one transaction, which others wait for."
_log = get_logger("forgetting")

Forget = Callable[[Connection, int, int], int]
"Deletes at most so many rows that are older than a time (UTC); returns how many."


class ForgetOld:
    """
    Deletes old rows of one kind, once an hour.

    Args:
        database: The node's database.
        clock: UTC.
        keep_days: How old a row may be; 0 keeps all for ever.
        forget: Of a repository.
        kind: What it is, for the log.
    """

    def __init__(
        self, database: Database, clock: Clock, keep_days: int, *, forget: Forget, kind: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_days = keep_days
        self._forget = forget
        self._kind = kind

    async def run(self) -> None:
        """Go on until cancelled."""
        while self._keep_days:
            try:
                await self.forget()
            except Exception:  # noqa: BLE001 - a full disk today may not be one in an hour
                _log.exception("old_rows_not_forgotten", kind=self._kind)
            await asyncio.sleep(_PAUSE_S)

    async def forget(self) -> int:
        """Delete what is too old now; returns how many."""
        if not self._keep_days:
            return 0
        before_us = self._clock.utc_us() - self._keep_days * _DAY_US
        n_all = 0
        while n := await self._database.run(lambda c: self._forget(c, before_us, _BATCH)):
            n_all += n
        if n_all:
            _log.info("old_rows_forgotten", kind=self._kind, rows=n_all)
        return n_all
