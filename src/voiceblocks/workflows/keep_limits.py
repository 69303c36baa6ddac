"""Accounts that have request limits of their own: the HTTP front follows the database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger

_log = get_logger("accounts")

PERIOD_S = 2.0
"Between two looks: few accounts have limits of their own, and one look finds them all."


class LimitUser(Protocol):
    """Part of the HTTP front that counts requests."""

    def set_own_limits(self, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        """Applications with limits of their own: for blocks and calls, and for queries."""
        ...


class KeepLimits:
    """
    Looks at the accounts now and then.

    Args:
        database: The node's database.
        user: Told at each look.
    """

    def __init__(self, database: Database, user: LimitUser) -> None:
        self._database = database
        self._user = user

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 (a database that is away comes back)
                _log.exception("limits_not_read")
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Take over what there is."""
        self._user.set_own_limits(await self._database.read(accounts.own_limits))
