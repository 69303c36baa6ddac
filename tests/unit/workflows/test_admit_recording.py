"""A recording begins only where the disk takes it to its end, beside all that are running."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests.unit.database.nouns import (
    CREATED_US,
    a_recording,
    a_session,
    an_account,
    an_application,
    seed,
)
from tests.unit.workflows.roomy import ROOMY
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.database import accounts, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import AppId, SessionId
from voiceblocks.recordings.errors import RecordingQuotaReached, RecordingSpaceLow
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.room import (
    HORIZON_S,
    bytes_ahead,
    bytes_ahead_at_most,
    bytes_ahead_of,
)
from voiceblocks.recordings.state import RecordingState
from voiceblocks.workflows.admit_recording import RecordingRules, admit_recording

SESSION = SessionId("S-1-a")
URL = "http://127.0.0.1:9/"
RECORD = RecordCommand(session=SESSION, notify_url=URL, max_duration_s=100)
MONITOR = MonitorCommand(session=SESSION, notify_url=URL)
NEEDED = bytes_ahead(RecordingKind.RECORD, 100)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With a session on node 1."""
    opened = Database(database_url)
    opened.run_sync(lambda c: seed(c, SESSION))
    yield opened
    opened.close()


def admit(
    database: Database, rules: RecordingRules, command: Command = RECORD, now_us: int = CREATED_US
) -> int | None:
    """Ask for it."""

    def ask(connection: object) -> int | None:
        session = sessions.find(connection, SESSION)  # type: ignore[arg-type]
        assert session is not None
        return admit_recording(connection, session, command, rules, now_us)  # type: ignore[arg-type]

    return database.run_sync(ask)


def with_room(n_bytes: int, reserve_bytes: int = 0) -> RecordingRules:
    """A disk with so much free."""
    return replace(ROOMY, free_bytes=lambda: n_bytes, reserve_bytes=reserve_bytes)


def test_the_last_byte_counts(database: Database) -> None:
    """It fits exactly, beside the reserve; with a byte less it does not begin."""
    assert admit(database, with_room(NEEDED + 7, reserve_bytes=7)) == 100
    with pytest.raises(RecordingSpaceLow):
        admit(database, with_room(NEEDED + 6, reserve_bytes=7))


def test_what_is_running_keeps_its_room(database: Database) -> None:
    """Recordings of this node count with what they may still write; others do not."""
    unfinished = a_recording("rec-1", limit_s=100, state=RecordingState.FINISHING)
    database.run_sync(lambda c: recordings.insert(c, unfinished))
    stored = a_recording("rec-2", state=RecordingState.READY, size_bytes=10**9)
    database.run_sync(lambda c: recordings.insert(c, stored))
    elsewhere = a_session("S-2-b", node="2", txn_ref="AA-S-2-b")
    database.run_sync(lambda c: sessions.insert(c, elsewhere))
    other = a_recording("rec-3", session_id=SessionId("S-2-b"), limit_s=100)
    database.run_sync(lambda c: recordings.insert(c, other))
    assert admit(database, with_room(2 * NEEDED)) == 100
    with pytest.raises(RecordingSpaceLow):
        admit(database, with_room(2 * NEEDED - 1))
    # In a minute and a half it has written some of that.
    later_us = CREATED_US + 90_000_000
    assert admit(database, with_room(2 * NEEDED - 1), now_us=later_us) == 100


def test_a_monitor_may_last_as_long_as_its_call(database: Database) -> None:
    """Twice the room, for the longest call that there is, or that its own limit allows."""
    rules = replace(ROOMY, max_call_s=500)
    database.run_sync(lambda c: sessions.update(c, SESSION, max_duration_s=None))
    assert admit(database, rules, MONITOR) == 500
    database.run_sync(lambda c: sessions.update(c, SESSION, max_duration_s=60))
    assert admit(database, rules, MONITOR) == 60
    needed = bytes_ahead(RecordingKind.MONITOR, 60)
    assert needed == 2 * bytes_ahead(RecordingKind.RECORD, 60)
    with pytest.raises(RecordingSpaceLow):
        admit(database, with_room(needed - 1), MONITOR)


def test_what_records_nothing_needs_no_room(database: Database) -> None:
    """Other blocks, and a record block whose recording nobody would hear of."""
    full = replace(with_room(0), quota_bytes=1)
    assert admit(database, full, PlayCommand(session=SESSION)) is None
    assert admit(database, full, replace(RECORD, notify_url=None)) is None


def test_a_quota_is_the_account_s(database: Database) -> None:
    """All its applications count, deleted recordings do not; its own figure wins, none is none."""
    database.run_sync(lambda c: accounts.insert_application(c, an_application("app2")))
    database.run_sync(lambda c: accounts.insert_account(c, an_account("acc_2")))
    database.run_sync(lambda c: accounts.insert_application(c, an_application("app3", "acc_2")))
    for n, (app, state) in enumerate(
        [
            ("app1", RecordingState.READY),
            ("app2", RecordingState.READY),
            ("app2", RecordingState.DELETED),
            ("app3", RecordingState.READY),
        ]
    ):
        made = a_recording(f"rec-{n}", app_id=AppId(app), state=state, size_bytes=500)
        database.run_sync(lambda c, made=made: recordings.insert(c, made))
    assert admit(database, replace(ROOMY, quota_bytes=1001)) == 100
    with pytest.raises(RecordingQuotaReached):
        admit(database, replace(ROOMY, quota_bytes=1000))
    database.run_sync(lambda c: accounts.update_account(c, "acc_1", recordings_quota_bytes=1001))
    assert admit(database, replace(ROOMY, quota_bytes=1)) == 100
    database.run_sync(lambda c: accounts.update_account(c, "acc_1", recordings_quota_bytes=0))
    with pytest.raises(RecordingQuotaReached):
        admit(database, ROOMY)


@given(st.integers(1, 86_400), st.floats(0, 200_000), st.sampled_from(RecordingKind))
def test_a_reservation_covers_what_is_written(
    limit_s: int, elapsed_s: float, kind: RecordingKind
) -> None:
    """In the next hour no spool and MP3 grow beyond it; it never grows, nor goes below zero."""
    ahead = bytes_ahead(kind, limit_s, elapsed_s)
    channels = 2 if kind is RecordingKind.MONITOR else 1
    # 161 bytes of spool in 20 ms and 24 kbit/s, each as often as there are channels.
    next_s = min(max(limit_s - elapsed_s, 0.0), HORIZON_S)
    assert ahead >= channels * next_s * (161 * 50 + 3000) - 1
    if limit_s <= HORIZON_S:
        assert ahead <= bytes_ahead(kind, limit_s)


def test_a_row_of_an_earlier_version_reserves_an_hour() -> None:
    """It does not say how long it may become."""
    made = a_recording("rec-1", limit_s=None)
    assert bytes_ahead_of(made, CREATED_US) == bytes_ahead(RecordingKind.RECORD, HORIZON_S)


@given(
    st.one_of(st.none(), st.integers(1, 90_000)),
    st.floats(0, 200_000),
    st.sampled_from(RecordingKind),
    st.sampled_from(["mp3", "wav", "sealed"]),
)
def test_the_quick_sum_is_never_too_small(
    limit_s: int | None, elapsed_s: float, kind: RecordingKind, file_format: str
) -> None:
    """Whatever runs, and since when: no more is needed than what the quick sum says."""
    longest_s = HORIZON_S if limit_s is None else limit_s
    exact = bytes_ahead(kind, longest_s, elapsed_s, file_format=file_format)
    assert bytes_ahead_at_most(kind, limit_s) >= exact


def test_on_a_roomy_disk_no_running_recording_is_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hundreds at a time each new one costs a count; only a low disk asks for all rows."""
    running = [
        a_recording(f"rec-{n}", limit_s=100, state=RecordingState.PENDING) for n in range(300)
    ]
    database.run_sync(lambda c: [recordings.insert(c, one) for one in running])
    reads: list[str] = []
    read = recordings.list_unfinished

    def counted(connection: Connection, node: str) -> list[Recording]:
        reads.append(node)
        return read(connection, node)

    monkeypatch.setattr(recordings, "list_unfinished", counted)
    assert admit(database, ROOMY) == 100
    assert reads == []
    assert admit(database, with_room(NEEDED * 301)) == 100
    with pytest.raises(RecordingSpaceLow):
        admit(database, with_room(NEEDED * 301 - 1))
    assert len(reads) == 2
