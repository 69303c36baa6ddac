"""Recordings in SQL, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from tests.unit.database.nouns import a_recording, seed
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import RecordingState

READY = a_recording(
    "rec-2",
    kind=RecordingKind.MONITOR,
    state=RecordingState.READY,
    end_reason="finish_key",
    notify_url="http://127.0.0.1:9/monitored",
    tag="order 7",
    size_bytes=2**40,
    duration_ms=86_400_000,
    sha256="ab" * 32,
    packets_expected=4_320_000,
    packets_received=4_319_990,
    packets_late=3,
    packets_lost=10,
    created_us=1,
    ready_us=2,
    deleted_us=3,
)


def insert(database: Database, *values: Recording) -> None:
    """Insert recordings of session S-1-a, and the session."""
    database.run_sync(lambda c: seed(c, "S-1-a"))
    for value in values:
        database.run_sync(lambda c, value=value: recordings.insert(c, value))


@pytest.mark.parametrize("recording", [a_recording(), READY], ids=["pending", "ready"])
def test_recording_reads_back(database: Database, recording: Recording) -> None:
    """A recording comes back as it was inserted, by id, locked, and by its name."""
    insert(database, recording)
    for found in (
        database.run_sync(lambda c: recordings.find(c, recording.id)),
        database.run_sync(lambda c: recordings.find_for_update(c, recording.id)),
        database.run_sync(lambda c: recordings.find_by_object_name(c, recording.object_name)),
    ):
        assert found == recording
        assert found is not None
        assert isinstance(found.state, RecordingState)
        assert isinstance(found.kind, RecordingKind)
    assert database.run_sync(lambda c: recordings.find(c, "rec-9")) is None
    assert database.run_sync(lambda c: recordings.find_for_update(c, "rec-9")) is None
    assert database.run_sync(lambda c: recordings.find_by_object_name(c, "rec-9.mp3")) is None


def test_object_name_is_unique(database: Database) -> None:
    """Two recordings never share an object, so a link names exactly one."""
    insert(database, a_recording("rec-1"))
    with pytest.raises(IntegrityError):
        database.run_sync(
            lambda c: recordings.insert(c, a_recording("rec-2", object_name="rec-1.mp3"))
        )


def test_update_changes_what_is_named(database: Database) -> None:
    """Named columns of one recording change; an unknown one is our mistake."""
    insert(database, a_recording("rec-1"), a_recording("rec-3"))
    database.run_sync(
        lambda c: recordings.update(c, "rec-1", state=RecordingState.FINISHING, packets_lost=4)
    )
    assert database.run_sync(lambda c: recordings.find(c, "rec-1")) == a_recording(
        "rec-1", state=RecordingState.FINISHING, packets_lost=4
    )
    assert database.run_sync(lambda c: recordings.find(c, "rec-3")) == a_recording("rec-3")
    with pytest.raises(ContractViolation, match="recordings has no row rec-9"):
        database.run_sync(lambda c: recordings.update(c, "rec-9", size_bytes=1))


def test_lists(database: Database) -> None:
    """By states and by session oldest first, the recent ones newest first."""
    pending = [a_recording(f"rec-1{n}", created_us=100 - n) for n in range(3)]
    insert(database, *pending, READY)

    def ids(found: list[Recording]) -> list[str]:
        return [recording.id for recording in found]

    states = (RecordingState.PENDING, RecordingState.READY)
    oldest_first = ["rec-2", "rec-12", "rec-11", "rec-10"]
    assert ids(database.run_sync(lambda c: recordings.list_in_state(c, *states))) == oldest_first
    assert ids(database.run_sync(lambda c: recordings.list_in_state(c, states[0]))) == [
        *("rec-12", "rec-11", "rec-10")
    ]
    assert database.run_sync(recordings.list_in_state) == []
    assert ids(database.run_sync(lambda c: recordings.list_of_session(c, "S-1-a"))) == oldest_first
    assert database.run_sync(lambda c: recordings.list_of_session(c, "S-1-b")) == []
    assert ids(database.run_sync(lambda c: recordings.recent(c, 2))) == ["rec-10", "rec-11"]
