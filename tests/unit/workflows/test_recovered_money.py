"""What a crash leaves is billed by the last that is known of it, and told as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import a_recording
from tests.unit.workflows.billed_calls import SECOND_US, URL, BilledCalls
from voiceblocks.billing.model import EntryKind
from voiceblocks.blocks.transfer import TransferCommand
from voiceblocks.calls.events import Refusal
from voiceblocks.database import recordings, store_tasks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import RecordingId, SessionId
from voiceblocks.recordings.store_task import StoreTask, StoreTaskKind
from voiceblocks.sessions.state import SessionState


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def begun(connection: Connection, credit: int = 1000) -> tuple[BilledCalls, SessionId]:
    """An incoming call that was just answered."""
    calls = BilledCalls()
    calls.prepare(connection, credit)
    session_id = calls.comes_in(connection)
    assert not isinstance(session_id, Refusal)
    calls.answered(connection, SessionId(session_id))
    return calls, SessionId(session_id)


@pytest.mark.parametrize(("metered_s", "minutes"), [([], 1), ([58, 118, 178], 3), ([58, 121], 3)])
def test_a_call_is_billed_until_it_was_last_seen(
    database: Database, metered_s: list[int], minutes: int
) -> None:
    """The meter saw it alive; one that died right after its answer lasted for a moment, too."""

    def happen(connection: Connection) -> None:
        calls, session_id = begun(connection)
        answered_us = calls.clock.now_us
        for at_s in metered_s:
            calls.clock.now_us = answered_us + at_s * SECOND_US
            calls.meter(connection, session_id)
        calls.clock.now_us += 3600 * SECOND_US
        calls.crash(connection)
        calls.crash(connection)
        assert calls.session(connection, session_id).debit == minutes * 20
        assert calls.account(connection).credit == 1000 - minutes * 20

    database.run_sync(happen)


def test_a_new_name_of_the_node_finds_the_calls_of_the_former(database: Database) -> None:
    """SQLite's node settles and uploads all that is left; on PostgreSQL that is another's."""

    def happen(connection: Connection) -> None:
        calls, session_id = begun(connection)
        recordings.insert(connection, a_recording(session_id=session_id))
        task = StoreTask(
            recording_id=RecordingId("rec-1"),
            kind=StoreTaskKind.UPLOAD,
            node="1",
            next_attempt_us=0,
            created_us=0,
        )
        store_tasks.put(connection, task)
        calls.crash(connection, next_node="2")
        is_alone = connection.dialect.name == "sqlite"
        assert (calls.session(connection, session_id).state is SessionState.ENDED) is is_alone
        assert len(store_tasks.list_due(connection, "2", 0, 10)) == is_alone

    database.run_sync(happen)


def test_what_is_over_keeps_the_name_that_it_had(database: Database) -> None:
    """Only what is unfinished changes hands, such as the recording of a call that is over."""

    def happen(connection: Connection) -> None:
        calls, ended = begun(connection)
        calls.ended(connection, ended)
        calls.crash(connection, next_node="2")
        assert calls.session(connection, ended).node == "1"
        recordings.insert(connection, a_recording(session_id=ended))
        calls.crash(connection, next_node="2")
        is_alone = connection.dialect.name == "sqlite"
        assert (calls.session(connection, ended).node == "2") is is_alone

    database.run_sync(happen)


@pytest.mark.parametrize(("credit", "debit"), [(1000, 100), (100, 100), (99, 20)])
def test_a_call_that_outlived_its_meter_is_paid_where_the_credit_does(
    database: Database, credit: int, debit: int
) -> None:
    """The machine stood still for minutes: either all of it is paid, or what was held."""

    def happen(connection: Connection) -> None:
        calls, session_id = begun(connection, credit)
        calls.clock.now_us += 250 * SECOND_US
        calls.ended(connection, session_id)
        assert calls.session(connection, session_id).debit == debit
        assert calls.account(connection).credit == credit - debit

    database.run_sync(happen)


def test_a_transfer_into_a_room_was_answered(database: Database) -> None:
    """A room has no leg of its own; who was in it is not told that nobody was reached."""

    def happen(connection: Connection) -> None:
        calls, session_id = begun(connection)
        command = TransferCommand(session=session_id, room="club", notify_url=URL)
        calls.accept(connection, command)
        calls.crash(connection)
        told = calls.told(connection, session_id)[-1]
        assert (told["call_state"], told["transfer_status"]) == ("ended", "answered")

    database.run_sync(happen)


def test_a_crash_while_the_call_is_ended_for_its_credit_says_so(database: Database) -> None:
    """The reason is written down before the call is told to end."""

    def happen(connection: Connection) -> None:
        calls, session_id = begun(connection)
        calls.receive(connection, -980, EntryKind.TOP_UP)
        calls.clock.now_us += 60 * SECOND_US
        hold = calls.meter(connection, session_id)
        assert hold is not None
        assert hold.is_used_up
        calls.crash(connection)
        told = calls.told(connection, session_id)[-1]
        assert (told["call_end"], told["debit"]) == ("credit_used_up", "0.020")
        assert calls.account(connection).credit == 0

    database.run_sync(happen)
