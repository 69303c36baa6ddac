"""A call that was recorded as a whole is over: encode both sides, store them, tell it.

As with the recording of a block, the audio work comes first and the transaction holds the row
and the notification together; the two spools go after its commit. The notification goes to the
monitor's own URL, once: whoever finds the row no longer pending tells nothing. A store that
fails all the time is told as `failed`, and `finish_left_over` goes on trying.

```
PENDING --audio--> FINISHING --stored--> READY     told: success and a link
                   FINISHING                       told: failed; stored later without a word
PENDING --no audio--> FAILED                       told: failed
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from voiceblocks.calls.events import EndReason, MonitorEnded, MonitorStarted, RecordedAudio
from voiceblocks.database import recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import get_logger
from voiceblocks.notifications.recording_words import record_parameters
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.call_control import Outbox
from voiceblocks.workflows.finish_recording import (
    FinishedRecording,
    FinishRecording,
    facts_of,
    heard_name,
    note_recording,
)
from voiceblocks.workflows.notify_application import notify
from voiceblocks.workflows.write_down import write_down

_log = get_logger("recordings")

MONITOR = "monitor"
"The `ivr_block` that is told."


@dataclass(frozen=True, slots=True)
class _Ended:
    """A monitor that is over."""

    name: str
    caller: RecordedAudio
    "With the length of the longer side."
    at_us: int | None
    "`None`: when its session ended."
    reason: EndReason


class FinishMonitor:
    """
    Turns the two spools of a call into one stereo MP3 with a link.

    Args:
        database: The node's database.
        finish_recording: Encodes and stores.
        outbox: Woken after the commit.
    """

    def __init__(
        self, *, database: Database, finish_recording: FinishRecording, outbox: Outbox
    ) -> None:
        self._database = database
        self._finish_recording = finish_recording
        self._outbox = outbox

    def follow(self, event: MonitorStarted) -> None:
        """Encode while the call goes on."""
        self._finish_recording.follow_stereo(
            event.name, event.caller_spool, event.heard_spool, event.shape
        )

    async def __call__(self, event: MonitorEnded) -> None:
        """Finish the monitor of a call that this process had; its session has ended."""
        caller, n_samples = event.caller, max(event.caller.n_samples, event.heard.n_samples)
        await self._finish(
            _Ended(caller.name, replace(caller, n_samples=n_samples), event.at_us, EndReason.HANGUP)
        )

    async def recover(self, recording: Recording, salvaged: Mapping[str, int]) -> None:
        """
        Finish a monitor that an earlier process left behind; its session has ended since.

        Args:
            recording: From `left_behind`.
            salvaged: Spool name -> samples, as the media plane found them on disk.
        """
        name = recording.id
        n_samples = max(salvaged.get(name, 0), salvaged.get(heard_name(name), 0))
        audio = RecordedAudio(name, n_samples, 0, 0, 0, 0, shape=recording.shape)
        await self._finish(_Ended(name, audio, None, EndReason.SERVER_RESTART))

    async def _finish(self, ended: _Ended) -> None:
        finished = None
        if ended.caller.n_samples:
            finished = await self._finish_recording.stereo(ended.caller)
        else:
            self._finish_recording.abandon(ended.name)
        is_done = await write_down(
            self._database, lambda connection: _note(connection, ended, finished)
        )
        self._outbox.wake()
        if is_done:
            self._finish_recording.forget_stereo_spools(ended.name)


def left_behind(connection: Connection, node: str) -> list[Recording]:
    """
    Return the monitors that an earlier process of this node has not finished.

    Call it before this process has calls of its own.
    """
    pending = recordings.list_in_state(connection, RecordingState.PENDING)
    found = []
    for recording in pending:
        if recording.kind is RecordingKind.MONITOR:
            session = sessions.find(connection, recording.session_id)
            if session is not None and session.node == node:
                found.append(recording)
    return found


def _note(connection: Connection, ended: _Ended, finished: FinishedRecording | None) -> bool:
    """Write row and notification, unless that was done before; whether the spools may go."""
    row = recordings.find_for_update(connection, ended.name)
    if row is None or row.state is not RecordingState.PENDING:
        _log.info("late_monitor_end_ignored", name=ended.name)
        return row is None or row.state is not RecordingState.FINISHING
    session = sessions.find_for_update(connection, row.session_id)
    if session is None or session.state is not SessionState.ENDED:
        # It would be told with a bill that is not made yet; the next start finds it again.
        _log.error("monitor_of_a_live_session", name=ended.name)
        return False
    at_us = ended.at_us or session.ended_us or 0
    has_audio = ended.caller.n_samples > 0
    note_recording(connection, row.id, finished, ended.reason, at_us, has_audio=has_audio)
    if row.notify_url is not None:
        notify(
            connection,
            session,
            block=MONITOR,
            url=row.notify_url,
            tag=row.tag or "",
            at_us=at_us,
            specific=record_parameters(
                None if finished is None else facts_of(finished, ended.reason), MONITOR
            ),
        )
    return finished is not None or not has_audio
