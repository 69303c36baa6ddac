"""Reach into a call from outside: hang it up, or moderate a conference's participant."""

from __future__ import annotations

from voiceblocks.accounts.model import Application
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand
from voiceblocks.database import sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.sessions.model import Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.call_control import CallControl


class ModerateCall:
    """
    Fulfils what the HTTP front needs for `voice/hangup` and `conference/moderate`.

    Args:
        database: The node's database.
        calls: The engine.
    """

    def __init__(self, database: Database, calls: CallControl) -> None:
        self._database = database
        self._calls = calls

    async def hang_up(self, app: Application, command: VoiceHangupCommand) -> dict[str, str]:
        """
        End a call, of whatever kind; one that has ended stays as it is.

        Raises:
            InvalidRequest: If there is no such call, or it is another application's.
        """
        session = await self._session_of(app, command.txn_ref)
        if session.state is not SessionState.ENDED:
            self._calls.force_hangup(session.id, None)
        return {}

    async def moderate(self, app: Application, command: ModerateCommand) -> dict[str, str]:
        """
        Kick, mute or unmute whoever is in a room by a conference or by a transfer.

        Raises:
            InvalidRequest: If there is no such participant, or it is another application's.
        """
        session = await self._session_of(app, command.txn_ref)
        if not self._calls.moderate(session.id, command.action):
            raise InvalidRequest("error_txn_ref_invalid")
        return {}

    async def _session_of(self, app: Application, txn_ref: str) -> Session:
        session = await self._database.read(
            lambda connection: sessions.find_by_txn_ref(connection, txn_ref)
        )
        if session is None:
            raise InvalidRequest("error_txn_ref_invalid")
        if session.app_id != app.id:
            raise InvalidRequest("error_txn_ref_access_denied")
        return session
