"""What is done to recordings that are ready: new links, dead links, holds.

Functions of a connection; the command line and the API run them in one transaction each.
"""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks.database import recordings
from voiceblocks.recordings.act import Doer, RecordingActKind
from voiceblocks.recordings.errors import RecordingNotReady, UnknownRecording
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import UNFINISHED_STATES, RecordingState
from voiceblocks.workflows.delete_recording import note_act, require_recording


def require_ready(connection: Connection, recording_id: str) -> Recording:
    """
    Return a recording that can be fetched, locked until the end of the transaction.

    Raises:
        UnknownRecording: If there is none, or it is deleted, or nothing was recorded.
        RecordingNotReady: If it is still being made.
    """
    recording = require_recording(connection, recording_id)
    if recording.state in UNFINISHED_STATES:
        raise RecordingNotReady(f"Recording {recording_id} is {recording.state}: try later")
    if recording.state is not RecordingState.READY:
        raise UnknownRecording(f"Recording {recording_id} is {recording.state}: there is no audio")
    return recording


def revoke_links(connection: Connection, recording_id: str, doer: Doer) -> Recording:
    """
    Kill every link to a recording that was ever handed out; new ones can be made.

    Raises:
        UnknownRecording, RecordingNotReady: With a sentence.
    """
    recording = require_ready(connection, recording_id)
    recordings.update(connection, recording_id, link_revision=recording.link_revision + 1)
    note_act(connection, recording, RecordingActKind.REVOKED, doer)
    return recording


def hold(connection: Connection, recording_id: str, doer: Doer) -> Recording:
    """
    Let nothing delete a recording, neither its age nor its owner.

    One that is still being made can be held, too. Holding it again notes the new reason.

    Raises:
        UnknownRecording: If there is none, or it is deleted.
    """
    recording = require_recording(connection, recording_id)
    if recording.state is RecordingState.DELETED:
        raise UnknownRecording(f"Recording {recording_id} is deleted: there is nothing to hold")
    recordings.update(connection, recording_id, held_us=recording.held_us or doer.at_us)
    note_act(connection, recording, RecordingActKind.HELD, doer)
    return recording


def release(connection: Connection, recording_id: str, doer: Doer) -> Recording:
    """
    End a hold: the recording's keep time counts again, which may be over.

    Raises:
        UnknownRecording: If there is none, or it is not held.
    """
    recording = require_recording(connection, recording_id)
    if recording.held_us is None:
        raise UnknownRecording(f"Recording {recording_id} is not on hold")
    recordings.update(connection, recording_id, held_us=None)
    note_act(connection, recording, RecordingActKind.RELEASED, doer)
    return recording
