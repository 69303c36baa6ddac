"""The trunks of the database become those of the engine, without a restart.

And what the engine knows of its registrations there is written down for `trunk list`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from voiceblocks.database import trunk_registrations, trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.trunks.model import Trunk, TrunkRegistration

_log = get_logger("trunks")

PERIOD_S = 2.0
"Between two looks at the table; one takes a fraction of a millisecond."


class TrunkUser(Protocol):
    """Part of the engine that needs to know the trunks."""

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """The trunks are these from now on."""
        ...


class RegistrationKeeper(Protocol):
    """Part of the engine that registers."""

    @property
    def standing(self) -> Sequence[TrunkRegistration]:
        """How each registration stands."""
        ...


class KeepTrunks:
    """
    Looks at the table now and then.

    Args:
        database: The node's database.
        users: Told of all trunks at the start, and after each change.
        registrations: Asked how they stand.
        node: Whose they are.
    """

    def __init__(
        self,
        database: Database,
        users: Sequence[TrunkUser],
        registrations: RegistrationKeeper,
        node: str,
    ) -> None:
        self._database = database
        self._users = users
        self._registrations = registrations
        self._node = node
        self._known: list[Trunk] | None = None
        self._written: list[TrunkRegistration] | None = None

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
        found = await self._database.read(trunks.list_trunks)
        if found != self._known:
            for user in self._users:
                user.set_trunks(found)
            # Last: who could not be told is told at the next look.
            self._known = found
        await self._write_down(list(self._registrations.standing))

    async def forget(self) -> None:
        """The node stops: it is registered nowhere any more."""
        await self._write_down([])

    async def _write_down(self, standing: list[TrunkRegistration]) -> None:
        if standing == self._written:
            return
        await self._database.run(
            lambda connection: trunk_registrations.replace(connection, self._node, standing)
        )
        self._written = standing
