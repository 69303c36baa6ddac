"""After a restart: what an earlier process left unfinished is finished now.

Its calls are over (decision 12). Recordings that it had begun are completed from their
spools, every running block is notified once, every call is settled, and the far ends of
answered calls get their BYE. All of it is repeatable: each session is one transaction,
and a crash in the middle leaves the rest for the next start.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from voiceblocks.calls.events import (
    BlockFinished,
    CallEnded,
    Disposition,
    EndReason,
    RecordedAudio,
)
from voiceblocks.database import sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.sessions.model import BlockRun, Session
from voiceblocks.workflows.call_control import CallControl
from voiceblocks.workflows.finish_recording import FinishedRecording, FinishRecording
from voiceblocks.workflows.note_call_events import note_block_finished, note_call_ended

_log = get_logger("recovery")

SAMPLES_PER_S = 8000


async def recover_after_crash(
    *,
    database: Database,
    node: str,
    salvaged: Mapping[str, int],
    finish_recording: FinishRecording,
    calls: CallControl,
) -> int:
    """
    Finish all sessions of this node that have not ended.

    Args:
        database: The node's database.
        node: Whose sessions.
        salvaged: Spool name -> samples, as the media plane found them on disk.
        finish_recording: Encodes and stores.
        calls: Says goodbye to the far ends.

    Returns:
        How many sessions were settled.
    """
    unfinished = await database.run(lambda connection: _unfinished(connection, node))
    for session, runs in unfinished:
        finished: dict[str, FinishedRecording] = {}
        for run in runs:
            n_samples = salvaged.get(run.recording_id or "", 0)
            if run.recording_id is not None and n_samples:
                recording = await finish_recording(
                    _salvaged_audio(run.recording_id, n_samples), EndReason.SERVER_RESTART
                )
                if recording is not None:
                    finished[run.id] = recording
        await database.run(
            lambda connection, session=session, runs=runs, finished=finished: _settle(  # type: ignore[misc]
                connection, session, runs, finished
            )
        )
        for recording in finished.values():
            finish_recording.forget_spool(recording.audio.name)
        if session.dialog is not None:
            calls.say_goodbye(session.dialog)
        _log.warning(
            "session_recovered", session=session.id, recordings=len(finished), blocks=len(runs)
        )
    return len(unfinished)


def _unfinished(connection: Connection, node: str) -> list[tuple[Session, list[BlockRun]]]:
    return [
        (
            session,
            [r for r in sessions.list_runs(connection, session.id) if r.finished_us is None],
        )
        for session in sessions.list_unfinished(connection, node)
    ]


def _settle(
    connection: Connection,
    session: Session,
    runs: list[BlockRun],
    finished: Mapping[str, FinishedRecording],
) -> None:
    ended_us = _last_sign_of_life_us(session, runs, finished)
    for run in runs:
        note_block_finished(
            connection,
            BlockFinished(session.id, run.id, EndReason.SERVER_RESTART, ended_us),
            finished.get(run.id),
        )
    answered = session.answered_us is not None
    disposition = Disposition.ANSWERED if answered else Disposition.FAILED
    note_call_ended(connection, CallEnded(session.id, ended_us, disposition))


def _last_sign_of_life_us(
    session: Session, runs: list[BlockRun], finished: Mapping[str, FinishedRecording]
) -> int:
    """When the call was last known to live: a call is billed to its last placed audio."""
    signs = [session.created_us, session.answered_us or 0]
    for run in runs:
        recording = finished.get(run.id)
        heard_us = recording.audio.n_samples * 1_000_000 // SAMPLES_PER_S if recording else 0
        signs.append(run.created_us + heard_us)
    return max(signs)


def _salvaged_audio(name: str, n_samples: int) -> RecordedAudio:
    return RecordedAudio(
        name=name,
        n_samples=n_samples,
        packets_expected=0,
        packets_received=0,
        packets_late=0,
        packets_lost=0,
    )
