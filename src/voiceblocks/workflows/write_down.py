"""A fact of a call is not given up: the database is asked until it takes the transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from voiceblocks.database.unit_of_work import Database, TransactionFailed
from voiceblocks.log import get_logger

T = TypeVar("T")

_log = get_logger("calls")

# What is wrong with the database, and not with what it was asked to do.
_TROUBLE = (TransactionFailed, OperationalError, InterfaceError)
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0


async def write_down(database: Database, fn: Callable[[Connection], T]) -> T:
    """Run a transaction until it is taken; `fn` changes nothing when it is run again."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await database.run(fn)
        except _TROUBLE as error:
            _log.error(
                "fact_not_written_yet", error=type(error).__name__, again_in_s=round(pause_s, 1)
            )
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
