"""Reach into a call from outside: hang it up, moderate a participant, pause its recordings."""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks.accounts.model import Application
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.running_recordings import RunningRecording
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand
from voiceblocks.database import recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.recordings.spool import HEARD_SUFFIX
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.errors import (
    SessionAccessDenied,
    SessionEnded,
    SessionNotRecording,
    UnknownSession,
)
from voiceblocks.sessions.model import Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.call_control import CallControl


class ModerateCall:
    """
    Fulfils `api.handlers.CallModeration`.

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

    async def pause(self, app: Application, command: PauseRecordingCommand) -> dict[str, str]:
        """
        Keep nothing of what is recorded of a call until it is resumed; once more is fine.

        What is heard after this was asked is in no ring and no file.

        Raises:
            UnknownSession, SessionAccessDenied, SessionEnded, SessionNotRecording: As they say.
        """
        return await self._pause(app, command, paused=True)

    async def resume(self, app: Application, command: ResumeRecordingCommand) -> dict[str, str]:
        """
        Go on with what was paused; what was not goes on as it does.

        Raises:
            UnknownSession, SessionAccessDenied, SessionEnded, SessionNotRecording: As they say.
        """
        return await self._pause(app, command, paused=False)

    async def _pause(
        self,
        app: Application,
        command: PauseRecordingCommand | ResumeRecordingCommand,
        *,
        paused: bool,
    ) -> dict[str, str]:
        names = await self._database.read(lambda connection: _spools(connection, app, command))
        if not self._calls.pause(command.session, names, paused=paused):
            raise SessionNotRecording(command.session)
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


def _spools(
    connection: Connection,
    app: Application,
    command: PauseRecordingCommand | ResumeRecordingCommand,
) -> list[str]:
    """The spools of those recordings of a call that may be going on."""
    session = sessions.find(connection, command.session)
    if session is None:
        raise UnknownSession(command.session)
    if session.app_id != app.id:
        raise SessionAccessDenied(command.session)
    if session.state is SessionState.ENDED:
        raise SessionEnded(command.session)
    names = []
    for one in recordings.list_of_session(connection, session.id):
        is_meant = command.begun_by in (None, RunningRecording(one.kind))
        if is_meant and one.state is RecordingState.PENDING:
            names += [one.id, one.id + HEARD_SUFFIX]
    return names
