"""How phones that we ring are stopped after a crash, written beside the calls (decision 59).

An INVITE does not wait for a disk. What would cancel it is written a moment later, for all calls
together, so that no number of calls makes more than some twenty commits a second. A leg that is
answered or over meanwhile needs none.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import Connection

from voiceblocks.calls.events import LegRings
from voiceblocks.database import further_legs, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger

_log = get_logger("calls")

PAUSE_S: Final = 0.05
"""From an INVITE to the transaction that knows it, which a second INVITE with a password joins;
a process that dies in between leaves a phone to its own timer."""
RETRY_S: Final = 1.0
"Where the database did not take it."


class KeepRinging:
    """
    Writes down what rings.

    Args:
        database: The node's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, dict[str, str]] = {}
        self._writing: asyncio.Task[None] | None = None

    def note(self, event: LegRings) -> None:
        """A phone may ring from now on, and this is how it is stopped."""
        self._waiting.setdefault(event.session_id, {})[event.leg_id] = event.dialog
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    def forget(self, session_id: str) -> None:
        """Nothing of this call rings any more: of several numbers the first to answer wins."""
        self._waiting.pop(session_id, None)

    async def _write(self) -> None:
        pause_s = PAUSE_S
        try:
            while self._waiting:
                await asyncio.sleep(pause_s)
                pause_s = PAUSE_S if await self._write_some() else RETRY_S
        finally:
            self._writing = None

    async def _write_some(self) -> bool:
        """Write what there is; `False` where it is to be written later."""
        taken, self._waiting = self._waiting, {}
        try:
            await self._database.run(lambda connection: _note(connection, taken))
        except Exception as error:  # noqa: BLE001 (calls need none of it)
            _log.warning("ringing_not_written", error=type(error).__name__)
            # What was answered or is over meanwhile is passed over then.
            for session_id, legs in self._waiting.items():
                taken[session_id] = taken.get(session_id, {}) | legs
            self._waiting = taken
            return False
        return True


def _note(connection: Connection, taken: dict[str, dict[str, str]]) -> None:
    for session_id, legs in taken.items():
        for leg_id, dialog in legs.items():
            if leg_id:
                further_legs.note_ringing(connection, leg_id, dialog)
            else:
                sessions.note_ringing(connection, session_id, dialog)
