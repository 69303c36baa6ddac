"""The trunks of the database become those of the engine, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from voiceblocks.database import trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.trunks.model import Trunk

_log = get_logger("trunks")

PERIOD_S = 2.0
"Between two looks at the table; one takes a fraction of a millisecond."


class TrunkUser(Protocol):
    """Part of the engine that needs to know the trunks."""

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """The trunks are these from now on."""
        ...


class KeepTrunks:
    """
    Looks at the table now and then.

    Args:
        database: The node's database.
        users: Told of all trunks at the start, and after each change.
    """

    def __init__(self, database: Database, users: Sequence[TrunkUser]) -> None:
        self._database = database
        self._users = users
        self._known: list[Trunk] | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 (a database that is away comes back)
                _log.exception("trunks_not_read")
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Take over what changed."""
        found = await self._database.run(trunks.list_trunks)
        if found != self._known:
            for user in self._users:
                user.set_trunks(found)
            # Last: who could not be told is told at the next look.
            self._known = found
