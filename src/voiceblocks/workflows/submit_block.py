"""An application asks for a block: may it, now, in this call? Store it and let it run.

The order is the documented one: what the request itself shows to be wrong comes before
what the session's state forbids. Prompts are rendered and the notify_url is looked at
before the transaction, since they take time; the state is decided inside it, once.
Meanwhile the clock of a call that waits for this block stands still: an application that
asked in time must not lose its caller to the download of its own prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from voiceblocks.accounts.errors import AccountDisabled, InvalidAccessToken, InvalidAppId
from voiceblocks.accounts.model import Application
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.transfer import TransferCommand
from voiceblocks.database import accounts, sessions
from voiceblocks.engine.plan import BlockPlan, RoomKey, TransferPlan
from voiceblocks.errors import InvalidRequest
from voiceblocks.sessions.errors import SessionEnded
from voiceblocks.speech.interfaces import Clip
from voiceblocks.workflows.accept_block import AcceptedBlock, accept_block
from voiceblocks.workflows.plan_leg import plan_leg
from voiceblocks.workflows.request_parts import RequestParts


@dataclass(frozen=True, slots=True)
class _Sounds:
    """Everything that a block plays."""

    prompt: tuple[Clip, ...]
    beep: Clip | None = None
    ring_tone: Clip | None = None


class SubmitBlock:
    """
    Fulfils what the HTTP front needs: authenticate, then submit.

    An accepted block lets the next notification go (decision 2), so it wakes the outbox.
    """

    def __init__(self, parts: RequestParts) -> None:
        self._database, self._clock = parts.database, parts.clock
        self._key, self._rules = parts.key, parts.rules
        self._recording_rules = parts.recording_rules
        self._requests, self._calls, self._outbox = parts.requests, parts.calls, parts.outbox

    async def authenticate(self, app_id: str, access_token: str) -> Application:
        """
        Return the application that the pair names.

        Raises:
            InvalidAccessToken: If the token is unknown, expired or revoked.
            InvalidAppId: If the token is good but belongs to another application, or the
                application is disabled.
            AccountDisabled: If its account is.
        """
        lookups = self._key.lookups(access_token)
        found = await self._database.read(
            lambda connection: next(
                filter(None, (accounts.find_token(connection, one) for one in lookups)), None
            )
        )
        if found is None or not found.token.is_valid(self._clock.utc_us()):
            raise InvalidAccessToken("unknown, expired or revoked")
        if found.application.id != app_id or found.application.revoked_us is not None:
            raise InvalidAppId("not the token's application, or disabled")
        if found.account_disabled_us is not None:
            raise AccountDisabled(found.application.account_id)
        return found.application

    async def submit(self, app: Application, command: Command) -> Mapping[str, Any]:
        """
        Accept and start a block.

        Returns:
            What the answer holds beside `status`: the room of a transfer to one.

        Raises:
            InvalidRequest: With the documented status of what is wrong with the request.
            UnknownSession, SessionAccessDenied, SessionNotReady, SessionEnded,
            SessionNotOnHold, RecordingQuotaReached, RecordingSpaceLow: As they say.
        """
        with await self._hold_clocks(app, command):
            sounds = await self._prepare(app, command)
            self._require_room(app, command)
            accepted = await self._database.run(
                lambda connection: accept_block(
                    connection,
                    app,
                    command,
                    self._rules,
                    self._recording_rules,
                    self._clock.utc_us(),
                )
            )
            self._outbox.wake()
            if not self._start(app, command, accepted, sounds):
                await self._require_told(accepted)
        return {} if accepted.room is None else {"room": accepted.room}

    async def _hold_clocks(
        self, app: Application, command: Command
    ) -> AbstractContextManager[None]:
        """Hold them for the session's own application, where there is something to prepare."""
        if not command.msg:
            return nullcontext()
        session = await self._database.read(
            lambda connection: sessions.find(connection, command.session)
        )
        is_its_own = session is not None and session.app_id == app.id
        return self._calls.hold_clocks(command.session) if is_its_own else nullcontext()

    async def _prepare(self, app: Application, command: Command) -> _Sounds:
        requests = self._requests
        prompt = await requests.prepare(app.account_id, command.msg, _urls_of(command))
        match command:
            case HoldCommand() if not prompt:
                return _Sounds((await requests.hold_music(),))
            case RecordCommand(beeps=True):
                return _Sounds(prompt, beep=await requests.beep())
            case TransferCommand() if command.dests:
                return _Sounds(prompt, ring_tone=await requests.ring_tone(command.dests[0]))
        return _Sounds(prompt)

    def _require_room(self, app: Application, command: Command) -> None:
        """Refuse a transfer to a room that is full; who comes at the same instant is told later."""
        room = command.room if isinstance(command, TransferCommand) else None
        if room and self._calls.room_space(RoomKey(app.id, room)) == 0:
            raise InvalidRequest("error_dest_too_many")

    async def _require_told(self, accepted: AcceptedBlock) -> None:
        """
        Where the call ended in the same moment, its end told this block's: so it was accepted.

        To refuse it now would be to notify a block that the application was never granted.
        """
        run = await self._database.read(
            lambda connection: sessions.find_run(connection, accepted.run.id)
        )
        if run is None or run.finished_us is None:
            raise SessionEnded("there is no such call here")

    def _start(
        self, app: Application, command: Command, accepted: AcceptedBlock, sounds: _Sounds
    ) -> bool:
        if isinstance(command, HangupCommand) and command.force:
            return self._calls.force_hangup(command.session, accepted.run.id)
        return self._calls.start_block(
            BlockPlan(
                session_id=command.session,
                run_id=accepted.run.id,
                command=command,
                prompt=sounds.prompt,
                beep=None if accepted.hangs_up_after else sounds.beep,
                recording_name=accepted.run.recording_id,
                recording_shape=accepted.recording_shape,
                hangs_up_after=accepted.hangs_up_after,
                transfer=(
                    self._transfer(app, command, accepted, sounds)
                    if isinstance(command, TransferCommand)
                    else None
                ),
            )
        )

    def _transfer(
        self, app: Application, command: TransferCommand, accepted: AcceptedBlock, sounds: _Sounds
    ) -> TransferPlan:
        return TransferPlan(
            legs=tuple(
                plan_leg(one, self._key, ring_s=command.ring_time_s) for one in accepted.dialled
            ),
            room=None if accepted.room is None else RoomKey(app.id, accepted.room),
            ring_tone=sounds.ring_tone,
        )


def _urls_of(command: Command) -> tuple[str | None, ...]:
    """Every address that the request names for notifications."""
    if isinstance(command, MonitorCommand):
        return command.notify_url, command.monitor_notify_url
    return (command.notify_url,)
