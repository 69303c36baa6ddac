"""A block is legal now: its run, what it records, and whom it calls, in one transaction.

What the request itself shows to be wrong was found before; whom it wants to call and what
the session's state forbids are decided here, in this order (decision 27).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.accounts.model import Application
from voiceblocks.blocks.command import BlockKind, Command
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.recording_shape import PLAIN, SEALED, RecordingShape
from voiceblocks.blocks.registry import kind_of
from voiceblocks.blocks.transfer import OnFailure, TransferCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.calls.events import EndReason
from voiceblocks.database import accounts, further_legs, notifications, recordings, sessions
from voiceblocks.errors import IllegalTransition, InvalidRequest
from voiceblocks.ids import RecordingId
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.errors import SessionAccessDenied, UnknownSession
from voiceblocks.sessions.model import BlockRun, Direction, FurtherLeg, Session
from voiceblocks.sessions.state import SessionEvent, advance, refusal_for
from voiceblocks.trunks.model import Trunk
from voiceblocks.workflows.admit_recording import RecordingRules, admit_recording
from voiceblocks.workflows.authorise_outgoing_call import (
    OutgoingRequest,
    OutgoingRules,
    authorise_outgoing_call,
)
from voiceblocks.workflows.hold_credit import leg_meter


@dataclass(frozen=True, slots=True)
class Dialled:
    """A further leg that may be called, and by which trunks."""

    leg: FurtherLeg
    trunks: tuple[Trunk, ...]


@dataclass(frozen=True, slots=True)
class AcceptedBlock:
    """What the transaction decided."""

    run: BlockRun
    hangs_up_after: bool
    dialled: tuple[Dialled, ...] = ()
    room: str | None = None
    "The room that a transfer goes to, by its name."
    recording_shape: RecordingShape = PLAIN


def accept_block(
    connection: Connection,
    app: Application,
    command: Command,
    rules: OutgoingRules,
    recording_rules: RecordingRules,
    now_us: int,
) -> AcceptedBlock:
    """
    Store a block that may run now.

    Raises:
        InvalidRequest: If it wants to call somebody whom this account may not call, or to record
            in a way that the application's seal does not allow.
        UnknownSession, SessionAccessDenied, SessionNotReady, SessionEnded, SessionNotOnHold:
            As they say.
        RecordingQuotaReached, RecordingSpaceLow: If it wants to record.
    """
    session = sessions.find_for_update(connection, command.session)
    if session is None:
        raise UnknownSession(command.session)
    if session.app_id != app.id:
        raise SessionAccessDenied(command.session)
    event, hangs_up_after = _event_for(command)
    dialled = (
        _authorise(connection, app, session, command, rules, now_us)
        if isinstance(command, TransferCommand)
        else ()
    )
    try:
        state = advance(session.state, event)
    except IllegalTransition:
        raise refusal_for(session.state, event)(session.id) from None
    limit_s = admit_recording(connection, session, command, recording_rules, now_us)
    # An unhold whose end nobody hears is over with its answer: the next block may come at once.
    is_over = isinstance(command, UnholdCommand) and command.notify_url is None
    if is_over:
        state = advance(state, SessionEvent.BLOCK_FINISHED)
    run = BlockRun(
        id=ids.new_block_run_id(),
        session_id=session.id,
        block=command.block,
        notify_url=command.notify_url,
        tag=command.tag,
        recording_id=None if limit_s is None else ids.new_recording_id(),
        created_us=now_us,
        finished_us=now_us if is_over else None,
        end_reason=EndReason.COMPLETED.value if is_over else None,
    )
    sessions.insert_run(connection, run)
    changes: dict[str, Any] = {"state": state}
    shape = PLAIN
    if run.recording_id is not None:
        shape = _shape_of(command, app)
        recordings.insert(connection, _pending(run, session, command, shape, limit_s))
        if isinstance(command, MonitorCommand):
            _require_unmonitored(session)
            changes["monitor_id"] = run.recording_id
    for one in dialled:
        further_legs.insert(connection, one.leg)
    if dialled:
        changes["held"] = session.held + sum(leg_meter(one.leg).held_by(now_us) for one in dialled)
    if isinstance(command, UnholdCommand) and session.run_id is not None:
        sessions.finish_run(connection, session.run_id, now_us, EndReason.COMPLETED)
    # The application acted on what it was told, so that need not be repeated.
    notifications.act_on(connection, session.id, now_us)
    room = _room_of(command)
    if room is not None:
        changes["room"] = room
    if event is not SessionEvent.HANGUP_FORCED:
        changes["run_id"] = None if is_over else run.id
        if not is_over and not isinstance(command, HoldCommand):
            # These have nowhere to tell the call's end: that goes where the block before said.
            changes |= {
                "last_block": command.block,
                "last_notify_url": command.notify_url,
                "last_tag": command.tag,
            }
    sessions.update(connection, session.id, **changes)
    return AcceptedBlock(run, hangs_up_after, dialled, room, shape)


def _event_for(command: Command) -> tuple[SessionEvent, bool]:
    """Which event of the session's table a block is, and whether the call ends after it."""
    match command:
        case HangupCommand(force=True):
            return SessionEvent.HANGUP_FORCED, False
        case HoldCommand():
            return SessionEvent.HOLD_ACCEPTED, False
        case UnholdCommand():
            return SessionEvent.UNHOLD_ACCEPTED, False
        case TransferCommand(on_failure=OnFailure.CONTINUE):
            # It may come back, so blocks are not over but not ready.
            return SessionEvent.BLOCK_ACCEPTED, False
    if kind_of(command.block) is BlockKind.END:
        return SessionEvent.END_BLOCK_ACCEPTED, False
    if command.notify_url is None:
        return SessionEvent.END_BLOCK_ACCEPTED, True
    return SessionEvent.BLOCK_ACCEPTED, False


def _authorise(
    connection: Connection,
    app: Application,
    session: Session,
    command: TransferCommand,
    rules: OutgoingRules,
    now_us: int,
) -> tuple[Dialled, ...]:
    if not command.dests:
        return ()
    account = accounts.find_account_for_update(connection, session.account_id)
    if account is None:
        raise UnknownSession(session.id)
    number = 1 + max(
        (leg.number for leg in further_legs.list_of_session(connection, session.id)), default=1
    )
    found: list[Dialled] = []
    held = NOTHING
    for dest in command.dests:
        allowed = authorise_outgoing_call(
            connection,
            OutgoingRequest(
                account=account,
                app=app,
                dest=dest,
                caller_id=command.caller_id,
                caller_number=(
                    session.from_number if session.direction is Direction.INBOUND else None
                ),
                counts_as_call=False,
                planned_dials=len(found),
                planned_hold=held,
                now_us=now_us,
            ),
            rules,
        )
        leg = FurtherLeg(
            id=ids.new_leg_id(),
            session_id=session.id,
            account_id=account.id,
            number=number + len(found),
            dest=allowed.dest,
            caller=allowed.caller,
            trunk_id=allowed.trunks[0].id,
            rate=allowed.price.rate,
            block_s=allowed.price.block_s,
            created_us=now_us,
        )
        held = Thousandths(held + allowed.hold)
        found.append(Dialled(leg, allowed.trunks))
    return tuple(found)


def _room_of(command: Command) -> str | None:
    """The room that a transfer names, a new one where it asks for one."""
    if not isinstance(command, TransferCommand) or command.room is None:
        return None
    return command.room or ids.new_room_name()


def _require_unmonitored(session: Session) -> None:
    if session.monitor_id is not None:
        raise InvalidRequest("error_monitor_in_progress")


def _shape_of(command: Command, app: Application) -> RecordingShape:
    """What a record asked for; a monitor is an MP3 of all that was said."""
    if app.seal_for is not None:
        _require_sealable(command)
        return RecordingShape(SEALED, seal_for=app.seal_for)
    if not isinstance(command, RecordCommand):
        return RecordingShape(silences_keys=app.silences_keys)
    return RecordingShape(command.format, command.trims_silence, app.silences_keys)


def _require_sealable(command: Command) -> None:
    """Refuse what would need to hear, or to change, a recording that nobody here can hear."""
    plain = isinstance(command, RecordCommand) and (
        command.format == PLAIN.format
        and not command.trims_silence
        and command.max_silence_s is None
    )
    if not plain:
        raise InvalidRequest("error_recording_sealed")


def _pending(
    run: BlockRun,
    session: Session,
    command: Command,
    shape: RecordingShape,
    limit_s: int | None,
) -> Recording:
    recording_id = RecordingId(run.recording_id or "")
    recording = Recording(
        id=recording_id,
        session_id=session.id,
        app_id=session.app_id,
        state=RecordingState.PENDING,
        end_reason=None,
        object_name=f"{recording_id}.{shape.format}",
        trims_silence=shape.trims_silence,
        silences_keys=shape.silences_keys,
        limit_s=limit_s,
        created_us=run.created_us,
    )
    if not isinstance(command, MonitorCommand):
        return recording
    return replace(
        recording,
        kind=RecordingKind.MONITOR,
        notify_url=command.monitor_notify_url or command.notify_url,
        tag=command.tag,
    )
