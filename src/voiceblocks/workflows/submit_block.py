"""An application asks for a block: may it, now, in this call? Store it and let it run.

The order is the documented one: what the request itself shows to be wrong comes before
what the session's state forbids. Prompts are rendered and the notify_url is looked at
before the transaction, since they take time; the state is decided inside it, once.
Meanwhile the clock of a call that waits for this block stands still: an application that
asked in time must not lose its caller to the download of its own prompt.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.accounts.errors import InvalidAccessToken, InvalidAppId
from voiceblocks.accounts.model import Application
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.blocks.command import BlockKind, Command
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.registry import kind_of
from voiceblocks.clock import Clock
from voiceblocks.database import accounts, notifications, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.errors import IllegalTransition
from voiceblocks.ids import RecordingId
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.errors import SessionAccessDenied, SessionEnded, UnknownSession
from voiceblocks.sessions.model import BlockRun, Session
from voiceblocks.sessions.state import SessionEvent, advance, refusal_for
from voiceblocks.speech.interfaces import Clip, PromptRenderer
from voiceblocks.workflows.call_control import CallControl, Outbox
from voiceblocks.workflows.prepare_prompts import PromptPreparer


class NotifyUrlCheck(Protocol):
    """Looks at a notify_url before the request is accepted (decision 22)."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` if its host is not allowed, not found or has bad TLS."""
        ...


@dataclass(frozen=True, slots=True)
class _Accepted:
    run: BlockRun
    hangs_up_after: bool


class SubmitBlock:
    """
    Fulfils what the HTTP front needs: authenticate, then submit.

    Args:
        database: The node's database.
        key: Looks up access tokens.
        prompts: Renders `msg`.
        renderer: Gives the beep.
        notify_urls: Looks at notify_url.
        calls: The engine.
        outbox: Woken because an accepted block lets the next notification go (decision 2).
        clock: For time stamps.
    """

    def __init__(
        self,
        *,
        database: Database,
        key: SecretKey,
        prompts: PromptPreparer,
        renderer: PromptRenderer,
        notify_urls: NotifyUrlCheck,
        calls: CallControl,
        outbox: Outbox,
        clock: Clock,
    ) -> None:
        self._database = database
        self._key = key
        self._prompts = prompts
        self._renderer = renderer
        self._notify_urls = notify_urls
        self._calls = calls
        self._outbox = outbox
        self._clock = clock

    async def authenticate(self, app_id: str, access_token: str) -> Application:
        """
        Return the application that the pair names.

        Raises:
            InvalidAccessToken: If the token is unknown, expired or revoked.
            InvalidAppId: If the token is good but belongs to another application, or the
                application was revoked.
        """
        lookup = self._key.lookup(access_token)
        found = await self._database.run(lambda connection: accounts.find_token(connection, lookup))
        if found is None or not found.token.is_valid(self._clock.utc_us()):
            raise InvalidAccessToken("unknown, expired or revoked")
        if found.application.id != app_id or found.application.revoked_us is not None:
            raise InvalidAppId("not the token's application, or revoked")
        return found.application

    async def submit(self, app: Application, command: Command) -> dict[str, str]:
        """
        Accept and start a block.

        Returns:
            What the answer holds beside `status`; nothing for the blocks of a call.

        Raises:
            InvalidRequest: With the documented status of what is wrong with the request.
            UnknownSession, SessionAccessDenied, SessionNotReady, SessionEnded: As they say.
        """
        with await self._hold_clocks(app, command):
            prompt, beep = await self._prepare(command)
            accepted = await self._database.run(
                lambda connection: self._accept(connection, app, command)
            )
            self._outbox.wake()
            if not self._start(command, accepted, prompt, beep):
                await self._require_told(accepted)
        return {}

    async def _hold_clocks(
        self, app: Application, command: Command
    ) -> AbstractContextManager[None]:
        """Hold them for the session's own application, where there is something to prepare."""
        if not command.msg:
            return nullcontext()
        session = await self._database.run(
            lambda connection: sessions.find(connection, command.session)
        )
        is_its_own = session is not None and session.app_id == app.id
        return self._calls.hold_clocks(command.session) if is_its_own else nullcontext()

    async def _prepare(self, command: Command) -> tuple[tuple[Clip, ...], Clip | None]:
        """Render the prompt and look at notify_url together; the page lists msg's errors first."""
        rendering = asyncio.ensure_future(self._prompts.prepare(command.msg))
        checking = asyncio.ensure_future(self._check_notify_url(command.notify_url))
        try:
            clips = await rendering
            await checking
        finally:
            rendering.cancel()
            checking.cancel()
            await asyncio.gather(rendering, checking, return_exceptions=True)
        beep = await self._renderer.beep() if isinstance(command, RecordCommand) else None
        return tuple(clips), beep

    async def _check_notify_url(self, url: str | None) -> None:
        if url is not None:
            await self._notify_urls.check(url)

    def _accept(self, connection: Connection, app: Application, command: Command) -> _Accepted:
        now_us = self._clock.utc_us()
        session = sessions.find_for_update(connection, command.session)
        if session is None:
            raise UnknownSession(command.session)
        if session.app_id != app.id:
            raise SessionAccessDenied(command.session)
        event, hangs_up_after = _event_for(command)
        try:
            state = advance(session.state, event)
        except IllegalTransition:
            raise refusal_for(session.state, event)(session.id) from None
        recording_id = ids.new_recording_id() if _records(command) else None
        run = BlockRun(
            id=ids.new_block_run_id(),
            session_id=session.id,
            block=command.block,
            notify_url=command.notify_url,
            tag=command.tag,
            recording_id=recording_id,
            created_us=now_us,
            finished_us=None,
            end_reason=None,
        )
        sessions.insert_run(connection, run)
        if recording_id is not None:
            recordings.insert(connection, _pending(recording_id, session, now_us))
        # The application acted on what it was told, so that need not be repeated.
        notifications.act_on(connection, session.id, now_us)
        changes: dict[str, object] = {"state": state}
        if event is not SessionEvent.HANGUP_FORCED:
            changes |= {
                "run_id": run.id,
                "last_block": command.block,
                "last_notify_url": command.notify_url,
                "last_tag": command.tag,
            }
        sessions.update(connection, session.id, **changes)
        return _Accepted(run, hangs_up_after)

    async def _require_told(self, accepted: _Accepted) -> None:
        """
        Where the call ended in the same moment, its end told this block's: so it was accepted.

        To refuse it now would be to notify a block that the application was never granted.
        """
        run = await self._database.run(
            lambda connection: sessions.find_run(connection, accepted.run.id)
        )
        if run is None or run.finished_us is None:
            raise SessionEnded("there is no such call here")

    def _start(
        self,
        command: Command,
        accepted: _Accepted,
        prompt: tuple[Clip, ...],
        beep: Clip | None,
    ) -> bool:
        if isinstance(command, HangupCommand) and command.force:
            return self._calls.force_hangup(command.session, accepted.run.id)
        return self._calls.start_block(
            BlockPlan(
                session_id=command.session,
                run_id=accepted.run.id,
                command=command,
                prompt=prompt,
                beep=None if accepted.hangs_up_after else beep,
                recording_name=accepted.run.recording_id,
                hangs_up_after=accepted.hangs_up_after,
            )
        )


def _event_for(command: Command) -> tuple[SessionEvent, bool]:
    """Which event of the session's table a block is, and whether the call ends after it."""
    if isinstance(command, HangupCommand):
        event = SessionEvent.HANGUP_FORCED if command.force else SessionEvent.END_BLOCK_ACCEPTED
        return event, False
    if command.notify_url is None and kind_of(command.block) is BlockKind.MIDDLE:
        return SessionEvent.END_BLOCK_ACCEPTED, True
    return SessionEvent.BLOCK_ACCEPTED, False


def _records(command: Command) -> bool:
    return isinstance(command, RecordCommand) and command.notify_url is not None


def _pending(recording_id: RecordingId, session: Session, now_us: int) -> Recording:
    return Recording(
        id=recording_id,
        session_id=session.id,
        app_id=session.app_id,
        state=RecordingState.PENDING,
        end_reason=None,
        object_name=f"{recording_id}.mp3",
        created_us=now_us,
    )
