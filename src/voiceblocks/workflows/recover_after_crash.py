"""After a restart: what an earlier process left unfinished is finished now.

Its calls are over (decision 12). The far ends of answered calls get their BYE, those that
ring are stopped (decision 59), recordings that it had begun are completed from their spools,
every running block is notified once, and every call is settled. All of it is repeatable: each
session is one transaction, and a crash in the middle leaves the rest for the next start.

```
look            before new calls and requests come, so that none of them is taken for an old one
settle_quiet    BYEs and the like, and the sessions that recorded nothing: before the node is ready
finish_recordings   beside new calls, since hours of audio may have to be encoded
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import (
    BlockFinished,
    CallEnded,
    Disposition,
    EndReason,
    RecordedAudio,
)
from voiceblocks.database import (
    due_notifications,
    further_legs,
    recordings,
    sessions,
    store_tasks,
)
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StoreError, VoiceblocksError
from voiceblocks.ids import RecordingId
from voiceblocks.log import get_logger
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.sealed_spool import read_sealed_header
from voiceblocks.recordings.spool import HEARD_SUFFIX, open_spool
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.model import BlockRun, Session
from voiceblocks.workflows.call_control import CallControl, Outbox
from voiceblocks.workflows.finish_monitor import MONITOR, FinishMonitor, left_behind
from voiceblocks.workflows.finish_recording import (
    FinishedRecording,
    FinishRecording,
    heard_name,
)
from voiceblocks.workflows.note_call_events import note_block_finished, note_call_ended

_log = get_logger("recovery")

SAMPLES_PER_S = 8000

# Their audio is in the store, or was to be deleted: the spool is of no more use.
_SPOOL_NOT_NEEDED = frozenset({RecordingState.READY, RecordingState.DELETED})


@dataclass(frozen=True, slots=True)
class _LeftBehind:
    """A session that has not ended, and the ends of its blocks that nobody told."""

    session: Session
    runs: tuple[BlockRun, ...]
    "Those that are not finished, in the order in which they are told."
    dialogs: Mapping[str, str]
    "By leg id (empty for the first), of all that were up or rang: each far end is told of the end."
    connected: bool
    "Whether somebody who was called for the caller had answered, even if they left again."
    shapes: Mapping[RecordingId, RecordingShape]
    "By recording id."
    alive_until_us: int
    "The last that is known of the call, apart from what it recorded at the end."


class RecoverAfterCrash:
    """
    Finishes all sessions of this node that have not ended. `recover` does all in a row.

    Args:
        database: The node's database.
        node: Whose sessions.
        salvaged: Spool name -> samples, as the media plane found them on disk.
        finish_recording: Encodes and stores.
        calls: Says goodbye to the far ends.
        outbox: Woken after each commit that wrote a notification.
    """

    def __init__(
        self,
        *,
        database: Database,
        node: str,
        salvaged: Mapping[str, int],
        finish_recording: FinishRecording,
        calls: CallControl,
        outbox: Outbox,
    ) -> None:
        self._database = database
        self._node = node
        self._salvaged = salvaged
        self._finish_recording = finish_recording
        self._calls = calls
        self._outbox = outbox
        self._finish_monitor = FinishMonitor(
            database=database, finish_recording=finish_recording, outbox=outbox
        )
        self._left: list[_LeftBehind] = []
        self._monitors: list[Recording] = []

    async def recover(self) -> None:
        """Do everything, one after another."""
        await self.look()
        await self.settle_quiet()
        await self.finish_recordings()

    async def look(self) -> None:
        """See what is left, and free the notifications that were on their way."""
        self._left, self._monitors = await self._database.run(
            lambda connection: (
                _look(connection, self._node),
                left_behind(connection, self._node),
            )
        )

    async def settle_quiet(self) -> None:
        """Say goodbye to all far ends; settle the sessions that have no audio to encode."""
        for left in self._left:
            # Before anything is written: said twice is better than never.
            for leg_id, dialog in left.dialogs.items():
                self._calls.say_goodbye(left.session.id, leg_id, dialog)
        for left in [left for left in self._left if not self._has_audio(left)]:
            await self._settle_or_log(left)

    async def finish_recordings(self) -> None:
        """Encode and store what the others recorded, and settle them."""
        for left in [left for left in self._left if self._has_audio(left)]:
            await self._settle_or_log(left)
        for monitor in self._monitors:
            await self._finish_monitor_or_log(monitor)
        await self._tidy_up()

    async def _tidy_up(self) -> None:
        """Delete the spools whose process died between a commit and their deletion."""
        names = list(self._salvaged)
        try:
            done = await self._database.run(lambda connection: _not_needed(connection, names))
            for name, n_samples in self._salvaged.items():
                if name in done or n_samples == 0:
                    self._finish_recording.forget_spool(name)
        except (OSError, VoiceblocksError):
            _log.exception("spools_not_tidied_up")

    def _has_audio(self, left: _LeftBehind) -> bool:
        # Monitors are encoded after their sessions are settled.
        return any(self._samples_of(run) for run in left.runs if run.block != MONITOR)

    def _samples_of(self, run: BlockRun) -> int:
        return self._samples_named(run.recording_id or "")

    def _samples_named(self, name: str) -> int:
        return max(self._salvaged.get(name, 0), self._salvaged.get(heard_name(name), 0))

    async def _finish_monitor_or_log(self, monitor: Recording) -> None:
        try:
            await self._finish_monitor.recover(monitor, self._salvaged)
        except Exception:  # noqa: BLE001 - as for a session
            _log.exception("monitor_not_recovered", name=monitor.id)

    async def _settle_or_log(self, left: _LeftBehind) -> None:
        try:
            await self._settle(left)
        except Exception:  # noqa: BLE001 - see below
            # One session's trouble keeps neither the others nor new calls waiting; it
            # stays as it is until the next start.
            _log.exception("session_not_recovered", session=left.session.id)

    async def _settle(self, left: _LeftBehind) -> None:
        ended_us = left.alive_until_us
        finished: dict[str, FinishedRecording] = {}
        found: dict[str, RecordedAudio] = {}
        monitor_id = left.session.monitor_id
        if monitor_id is not None and self._samples_named(monitor_id):
            until_us = self._heard_until_us(monitor_id, self._samples_named(monitor_id))
            ended_us = max(ended_us, until_us)
        for run in left.runs:
            n_samples = self._samples_of(run)
            if run.recording_id is None or not n_samples:
                continue
            shape = left.shapes.get(run.recording_id, PLAIN)
            found[run.id] = _salvaged_audio(run.recording_id, n_samples, shape)
            ended_us = max(ended_us, self._heard_until_us(run.recording_id, n_samples))
            if run.block == MONITOR:
                continue
            recording = await self._finish_recording(found[run.id], EndReason.SERVER_RESTART)
            if recording is not None:
                finished[run.id] = recording
        await self._database.run(
            lambda connection: _write(connection, left, found, finished, ended_us)
        )
        self._outbox.wake()
        for recording in finished.values():
            self._finish_recording.forget_spool(recording.audio.name)
        _log.warning(
            "session_recovered",
            session=left.session.id,
            recordings=len(finished),
            blocks=len(left.runs),
        )

    def _heard_until_us(self, name: str, n_samples: int) -> int:
        """UTC of the end of a recording: a call is billed to its last placed audio."""
        path = self._finish_recording.spool_path(name)
        try:
            with open_spool(path) as spool:
                zero_us = spool.header.zero_us
        except StoreError:
            try:
                zero_us = read_sealed_header(path).zero_us
            except StoreError:
                return 0
        return zero_us + n_samples * 1_000_000 // SAMPLES_PER_S if zero_us else 0


def _look(connection: Connection, node: str) -> list[_LeftBehind]:
    # Else a changed NODE would leave calls that live for ever, and uploads that nobody makes.
    taken = sessions.take_over(connection, node), store_tasks.take_over(connection, node)
    if any(taken):
        _log.warning("took_over_from_former_name", sessions=taken[0], store_tasks=taken[1])
    # Whoever had claimed them is dead; nobody should wait until the claims run out.
    due_notifications.release_claims(connection, node)
    found = []
    for session in sessions.list_unfinished(connection, node):
        runs = sessions.list_runs(connection, session.id)
        # A leg that was answered lasted for a moment at least: that is a started block.
        signs = [session.created_us, (session.answered_us or -1) + 1, session.metered_us or 0]
        signs += [run.finished_us or run.created_us for run in runs]
        # What a forced hang-up cut off is told before it (decision 1).
        runs.sort(key=lambda run: run.id != session.run_id)
        unfinished = tuple(run for run in runs if run.finished_us is None)
        legs = further_legs.list_of_session(connection, session.id)
        signs += [leg.ended_us or (leg.answered_us or 0) + 1 for leg in legs]
        ends = {"": session.dialog} | {leg.id: leg.dialog for leg in legs if leg.ended_us is None}
        up = {leg_id: dialog for leg_id, dialog in ends.items() if dialog is not None}
        connected = any(leg.answered_us is not None for leg in legs)
        shapes = {one.id: one.shape for one in recordings.list_of_session(connection, session.id)}
        found.append(_LeftBehind(session, unfinished, up, connected, shapes, max(signs)))
    return found


def _write(
    connection: Connection,
    left: _LeftBehind,
    found: Mapping[str, RecordedAudio],
    finished: Mapping[str, FinishedRecording],
    ended_us: int,
) -> None:
    session_id = left.session.id
    for run in left.runs:
        note_block_finished(
            connection,
            BlockFinished(
                session_id,
                run.id,
                EndReason.SERVER_RESTART,
                ended_us,
                found.get(run.id),
                reached=_reached(left, run),
            ),
            finished.get(run.id),
        )
    answered = left.session.answered_us is not None
    disposition = Disposition.ANSWERED if answered else Disposition.FAILED
    note_call_ended(
        connection, CallEnded(session_id, ended_us, disposition, CallEndCause.SERVER_DIED)
    )


def _reached(left: _LeftBehind, run: BlockRun) -> Disposition | None:
    """What is known of whom a block had called: an answer, or nothing."""
    match run.block:
        case "dial":
            answered = left.session.answered_us is not None
        case "transfer":
            # A room is entered without a leg of its own.
            answered = left.connected or left.session.room is not None
        case _:
            return None
    return Disposition.ANSWERED if answered else Disposition.FAILED


def _not_needed(connection: Connection, names: list[str]) -> set[str]:
    found = ((name, recordings.find(connection, name.removesuffix(HEARD_SUFFIX))) for name in names)
    return {name for name, row in found if row is not None and row.state in _SPOOL_NOT_NEEDED}


def _salvaged_audio(name: str, n_samples: int, shape: RecordingShape) -> RecordedAudio:
    return RecordedAudio(
        name=name,
        n_samples=n_samples,
        packets_expected=0,
        packets_received=0,
        packets_late=0,
        packets_lost=0,
        shape=shape,
    )
