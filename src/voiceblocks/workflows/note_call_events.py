"""What the engine tells, written down: each fact and its notification in one transaction.

Late events are normal in telephony: what comes after a block or a session has ended is
logged and changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from voiceblocks.blocks.gather import GatherCommand
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import (
    MOST_TELLING,
    BlockFinished,
    CallAnswered,
    CallEnded,
    Disposition,
    EndReason,
    FurtherLegAnswered,
    FurtherLegEnded,
)
from voiceblocks.database import further_legs, recordings, sessions
from voiceblocks.log import get_logger
from voiceblocks.notifications.words import reached_parameters
from voiceblocks.recordings.state import RecordingEvent, RecordingState
from voiceblocks.recordings.state import advance as advance_recording
from voiceblocks.sessions.model import BlockRun, Session
from voiceblocks.sessions.state import SessionEvent, SessionState, advance
from voiceblocks.workflows.end_session import end_session
from voiceblocks.workflows.finish_recording import FinishedRecording, note_recording
from voiceblocks.workflows.notify_application import notify, notify_ended

_log = get_logger("calls")

# A block that ended so took the call with it.
CALL_IS_OVER = frozenset(
    {EndReason.HANGUP, EndReason.FORCED, EndReason.SERVER_RESTART, EndReason.CREDIT_USED_UP}
)

UNTOLD_BLOCKS = frozenset({"hold", "call", "conference"})
"Their end is none of the session's: the block after a hold, or the end of the call, tells it."


def note_call_answered(connection: Connection, event: CallAnswered) -> None:
    """Billing starts, and a restart can say goodbye."""
    sessions.update(connection, event.session_id, answered_us=event.at_us, dialog=event.dialog)
    _log.info("call_answered", session=event.session_id)


def note_further_leg_answered(connection: Connection, event: FurtherLegAnswered) -> None:
    """A second leg costs money from now on, and a restart can say goodbye to it."""
    leg = further_legs.find(connection, event.leg_id)
    if leg is None or leg.ended_us is not None:
        _log.info("late_leg_answer_ignored", session=event.session_id, leg=event.leg_id)
        return
    further_legs.update(connection, event.leg_id, answered_us=event.at_us, dialog=event.dialog)
    # The others that rang are hung up already, though their ends are told with the conversation's.
    further_legs.forget_ringing(connection, event.session_id)
    _log.info("leg_answered", session=event.session_id, leg=event.leg_id)


def note_further_leg_ended(connection: Connection, event: FurtherLegEnded) -> None:
    """A second leg is over; it is charged with its call."""
    leg = further_legs.find(connection, event.leg_id)
    if leg is None or leg.ended_us is not None:
        _log.info("late_leg_end_ignored", session=event.session_id, leg=event.leg_id)
        return
    further_legs.update(
        connection,
        event.leg_id,
        ended_us=event.at_us,
        disposition=event.disposition.value,
        dialog=None,
    )
    _log.info(
        "leg_ended",
        session=event.session_id,
        leg=event.leg_id,
        disposition=event.disposition.value,
    )


def note_block_finished(
    connection: Connection, event: BlockFinished, recording: FinishedRecording | None
) -> None:
    """
    The running block is over: the next may come, or the call ended with it.

    The forced hang-up that cut it off ends in the same transaction: a session that has ended
    has no open block, so after a crash the live sessions lead to everything untold.
    """
    session = sessions.find_for_update(connection, event.session_id)
    run = sessions.find_run(connection, event.run_id)
    if session is None or run is None or run.finished_us is not None:
        _log.info("late_block_end_ignored", session=event.session_id, run=event.run_id)
        return
    _log.info(
        "block_ended",
        session=event.session_id,
        block=run.block,
        run=run.id,
        reason=event.reason.value,
        recording=run.recording_id,
    )
    has_audio = event.audio is not None and (recording is not None or event.audio.n_samples > 0)
    after = _finish_run(
        connection,
        session,
        run,
        event.reason,
        event.at_us,
        recording,
        has_audio=has_audio,
        digits=event.digits,
        reached=event.reached,
    )
    if after.state is SessionState.ENDED:
        restarted = event.reason is EndReason.SERVER_RESTART
        reason = EndReason.SERVER_RESTART if restarted else EndReason.COMPLETED
        for other in _open_runs(connection, session):
            # What recorded is told by who knows its audio.
            if other.recording_id is None:
                _finish_run(connection, after, other, reason, event.at_us, None)


def note_call_ended(connection: Connection, event: CallEnded) -> None:
    """
    The leg is gone; what was not told with a block's end is told now.

    Every block that is still open ends with the call: one that was accepted in the moment
    in which the caller left, or a forced hang-up that came while the call was being closed.
    """
    session = sessions.find_for_update(connection, event.session_id)
    if session is None:
        return
    cause = None if event.cause is None else event.cause.value
    session = replace(session, end_cause=cause)
    for run in _open_runs(connection, session):
        session = _finish_run(connection, session, run, EndReason.HANGUP, event.at_us, None)
    sessions.update(
        connection,
        session.id,
        disposition=event.disposition.value,
        end_cause=cause,
        end_status=event.sip_status,
    )
    if session.state is SessionState.ENDED:
        return
    ended = end_session(
        connection, session, ended_us=event.at_us, disposition=event.disposition.value
    )
    if ended.last_notify_url is not None:
        notify_ended(
            connection,
            ended,
            at_us=event.at_us,
            specific=_specific_of(ended.last_block, "", _reached_before(connection, ended)),
        )


def _reached_before(connection: Connection, session: Session) -> Disposition:
    """How the last block, which is over, had reached its far end: as it was told then."""
    if session.last_block == "transfer":
        runs = sessions.list_runs(connection, session.id)
        begun_us = max((run.created_us for run in runs if run.block == "transfer"), default=0)
        legs = further_legs.list_of_session(connection, session.id)
        # Those of an earlier transfer are not meant: one to a room has none.
        last = [leg for leg in legs if leg.created_us >= begun_us]
        ends = [Disposition(leg.disposition) for leg in last if leg.disposition is not None]
        return min(ends, key=MOST_TELLING.index, default=Disposition.FAILED)
    return _reached_at_all(session)


def _reached_at_all(session: Session) -> Disposition:
    """For a block that was cut off before it could say: by a caller who left, mostly."""
    was_dialled = session.last_block == "dial" and session.answered_us is not None
    return Disposition.ANSWERED if was_dialled else Disposition.CANCELLED


def _specific_of(block: str, digits: str, reached: Disposition) -> list[tuple[str, str]]:
    """
    What only this kind of block tells.

    Receivers read the length of a gather's digits unasked, and the status of a dial or a
    transfer: they are there, whatever cut the block off.
    """
    if block == GatherCommand.block:
        return [("digits", digits)]
    return reached_parameters(block, reached.value)


def _open_runs(connection: Connection, session: Session) -> list[BlockRun]:
    """What has not finished, what the hang-ups cut off first (decision 1)."""
    runs = [run for run in sessions.list_runs(connection, session.id) if run.finished_us is None]
    return sorted(runs, key=lambda run: run.id != session.run_id)


def _finish_run(
    connection: Connection,
    session: Session,
    run: BlockRun,
    reason: EndReason,
    at_us: int,
    recording: FinishedRecording | None,
    *,
    has_audio: bool = False,
    digits: str = "",
    reached: Disposition | None = None,
) -> Session:
    """Write down the end of a block and tell it; returns the session as it is then."""
    sessions.finish_run(connection, run.id, at_us, reason.value)
    if run.block in UNTOLD_BLOCKS:
        return session
    specific = _specific_of(run.block, digits, reached or _reached_at_all(session))
    if run.block == MonitorCommand.block:
        _note_monitor_begun(connection, run, reason, has_audio=has_audio)
    elif run.recording_id is not None:
        specific = note_recording(
            connection, run.recording_id, recording, reason, at_us, has_audio=has_audio
        )
    after = _advanced(connection, session, reason, at_us, reached)
    if run.notify_url is not None:
        notify(
            connection,
            after,
            block=run.block,
            url=run.notify_url,
            tag=run.tag,
            at_us=at_us,
            specific=specific,
        )
    return after


def _note_monitor_begun(
    connection: Connection, run: BlockRun, reason: EndReason, *, has_audio: bool
) -> None:
    """
    The recording of a whole call goes on after its block, unless the call ended with that.

    After a crash in the block there may be audio all the same, which `FinishMonitor` tells.
    """
    if run.recording_id is not None and reason in CALL_IS_OVER and not has_audio:
        state = advance_recording(RecordingState.PENDING, RecordingEvent.NOTHING_RECORDED)
        recordings.update(connection, run.recording_id, state=state, end_reason=reason.value)


def _advanced(
    connection: Connection,
    session: Session,
    reason: EndReason,
    at_us: int,
    reached: Disposition | None,
) -> Session:
    """The session after a block's end: waiting for the next, or settled with the call."""
    if session.state is SessionState.ENDED:
        return session
    if reason in CALL_IS_OVER or session.state is SessionState.ENDING:
        answered = session.answered_us is not None
        disposition = Disposition.ANSWERED if answered else reached or Disposition.CANCELLED
        if reason is EndReason.SERVER_RESTART:
            # For its notification alone: the end of the call, a moment later, says it exactly.
            session = replace(session, end_cause=CallEndCause.SERVER_STOPPED.value)
        return end_session(connection, session, ended_us=at_us, disposition=disposition.value)
    after = replace(session, state=advance(session.state, SessionEvent.BLOCK_FINISHED), run_id=None)
    sessions.update(connection, session.id, state=after.state, run_id=None)
    return after
