"""Sessions and block runs in SQL, on both databases."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.unit.database.nouns import (
    CREATED_US,
    a_run,
    a_session,
    an_account,
    an_application,
    seed,
)
from voiceblocks.database import accounts, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import Direction, Session, SessionKind
from voiceblocks.sessions.state import SessionState

NOTHING_YET = dict.fromkeys(
    (
        *("last_notify_url", "run_id", "debit", "duration_min", "disposition", "dialog"),
        *("answered_us", "ended_us", "room", "monitor_id", "max_duration_s"),
    )
)


def insert(database: Database, *values: Session) -> None:
    """Insert sessions in the order given."""

    def all_of_them(connection: Connection) -> None:
        for value in values:
            sessions.insert(connection, value)

    database.run_sync(all_of_them)


@pytest.mark.parametrize(
    "session",
    [
        a_session(),
        a_session(kind=SessionKind.CONFERENCE),
        a_session(**NOTHING_YET, state=SessionState.ON_HOLD, direction=Direction.OUTBOUND),
    ],
    ids=["full", "participant", "new"],
)
def test_session_reads_back(database: Database, session: Session) -> None:
    """A session comes back as it was inserted, in all three ways, with real enumerations."""
    database.run_sync(seed)
    insert(database, session)
    for found in (
        database.run_sync(lambda c: sessions.find(c, session.id)),
        database.run_sync(lambda c: sessions.find_for_update(c, session.id)),
        database.run_sync(lambda c: sessions.find_by_txn_ref(c, session.txn_ref)),
    ):
        assert found == session
        assert found is not None
        assert isinstance(found.state, SessionState)
        assert isinstance(found.direction, Direction)
        assert isinstance(found.kind, SessionKind)
    assert database.run_sync(lambda c: sessions.find(c, "S-1-b")) is None
    assert database.run_sync(lambda c: sessions.find_for_update(c, "S-1-b")) is None
    assert database.run_sync(lambda c: sessions.find_by_txn_ref(c, "S-1-a")) is None


def test_txn_ref_is_unique(database: Database) -> None:
    """Two sessions cannot share a transaction reference."""
    database.run_sync(lambda c: seed(c, "S-1-a"))
    with pytest.raises(IntegrityError):
        insert(database, a_session("S-1-b", txn_ref="AA-S-1-a"))


def test_update_changes_what_is_named(database: Database) -> None:
    """Named columns change, those of the others do not; None is a value."""
    database.run_sync(lambda c: seed(c, "S-1-a", "S-1-b"))
    database.run_sync(
        lambda c: sessions.update(
            c, "S-1-a", state=SessionState.ENDED, run_id=None, debit=Thousandths(140)
        )
    )
    assert database.run_sync(lambda c: sessions.find(c, "S-1-a")) == a_session(
        "S-1-a", state=SessionState.ENDED, run_id=None, debit=140
    )
    assert database.run_sync(lambda c: sessions.find(c, "S-1-b")) == a_session("S-1-b")


def test_update_of_nothing_is_our_mistake(database: Database) -> None:
    """Neither an unknown session nor an unknown column passes silently."""
    database.run_sync(lambda c: seed(c, "S-1-a"))
    with pytest.raises(ContractViolation, match="sessions has no row S-1-b"):
        database.run_sync(lambda c: sessions.update(c, "S-1-b", last_tag=""))
    with pytest.raises(ContractViolation, match="sessions has no column colour, row_id"):
        database.run_sync(
            lambda c: sessions.update(c, "S-1-a", last_tag="", colour="red", row_id="S-1-b")
        )


def test_live_sessions_are_counted_by_account(database: Database) -> None:
    """All states but the last count, on all nodes, for this account only."""
    database.run_sync(seed)
    database.run_sync(lambda c: accounts.insert_account(c, an_account("acc_2")))
    insert(
        database,
        *(
            a_session(f"S-{node}-{state}", node=node, state=state)
            for node in "12"
            for state in SessionState
        ),
        a_session("S-1-other", account_id="acc_2"),
    )
    assert database.run_sync(lambda c: sessions.count_live(c, "acc_1")) == 10
    assert database.run_sync(lambda c: sessions.count_live(c, "acc_2")) == 1
    assert database.run_sync(lambda c: sessions.count_live(c, "acc_3")) == 0


def test_counting_live_sessions_uses_an_index(database: Database, database_url: str) -> None:
    """An account's ended calls do not make its next one slower (SQLite tells its plan)."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL plans by statistics, which an empty table does not have")

    def plan(connection: Connection) -> str:
        statement = sessions._COUNT_LIVE.statement.params(account_id="acc_1").compile(
            connection, compile_kwargs={"literal_binds": True}
        )
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all())

    assert "(account_id=? AND state=?)" in database.run_sync(plan)


def test_unfinished_sessions_of_a_node(database: Database) -> None:
    """Recovery sees this node's live sessions, oldest first."""
    database.run_sync(seed)
    insert(
        database,
        a_session("S-1-c", created_us=3, state=SessionState.RINGING),
        a_session("S-1-a", created_us=1, state=SessionState.ENDING),
        a_session("S-1-b", created_us=2, state=SessionState.ENDED),
        a_session("S-2-d", node="2"),
    )
    found = database.run_sync(lambda c: sessions.list_unfinished(c, "1"))
    assert [session.id for session in found] == ["S-1-a", "S-1-c"]


def test_recent_sessions(database: Database) -> None:
    """Newest first, no more than asked for, of one account where one is named."""
    database.run_sync(seed)

    def insert_other(connection: Connection) -> None:
        accounts.insert_account(connection, an_account("acc_2"))
        accounts.insert_application(connection, an_application("app2", "acc_2"))

    database.run_sync(insert_other)
    insert(
        database,
        *(a_session(f"S-1-{n}", created_us=n) for n in range(5)),
        a_session("S-1-other", created_us=9, account_id="acc_2", app_id="app2"),
    )

    def ids(limit: int, account_id: str | None = None) -> list[str]:
        found = database.run_sync(lambda c: sessions.recent(c, limit, account_id))
        return [session.id for session in found]

    assert ids(3) == ["S-1-other", "S-1-4", "S-1-3"]
    assert ids(2, "acc_1") == ["S-1-4", "S-1-3"]
    assert ids(9, "acc_2") == ["S-1-other"]


async def test_notification_numbers_have_no_gaps(database: Database) -> None:
    """Many at once get 1, 2, 3 …; one that is undone gives its number back."""
    await database.run(lambda c: seed(c, "S-1-a", "S-1-b"))

    def count_and_maybe_fail(connection: Connection, fails: bool) -> int:
        sequence = sessions.next_notification_sequence(connection, "S-1-a")
        if fails:
            raise LookupError
        return sequence

    answers = await asyncio.gather(
        *(database.run(lambda c, n=n: count_and_maybe_fail(c, n % 4 == 0)) for n in range(40)),
        return_exceptions=True,
    )
    numbers = sorted(answer for answer in answers if isinstance(answer, int))
    assert numbers == list(range(1, 31))
    session = await database.run(lambda c: sessions.find(c, "S-1-a"))
    assert session is not None
    assert session.notification_count == 30
    assert await database.run(lambda c: sessions.next_notification_sequence(c, "S-1-b")) == 1
    with pytest.raises(ContractViolation, match="S-1-c"):
        await database.run(lambda c: sessions.next_notification_sequence(c, "S-1-c"))


def test_run_reads_back(database: Database) -> None:
    """A run comes back as it was inserted; a session's runs come oldest first."""
    database.run_sync(lambda c: seed(c, "S-1-a", "S-1-b"))
    early = a_run("run_2", created_us=CREATED_US - 1)
    late = a_run("run_1", notify_url=None, recording_id=None, finished_us=9, end_reason="forced")
    for run in (late, early, a_run("run_3", "S-1-b")):
        database.run_sync(lambda c, run=run: sessions.insert_run(c, run))
    assert database.run_sync(lambda c: sessions.find_run(c, "run_1")) == late
    assert database.run_sync(lambda c: sessions.find_run(c, "run_4")) is None
    assert database.run_sync(lambda c: sessions.list_runs(c, "S-1-a")) == [early, late]


def test_run_finishes_once(database: Database) -> None:
    """Only the first end of a run counts, and its caller alone is told so."""
    database.run_sync(lambda c: seed(c, "S-1-a"))
    database.run_sync(lambda c: sessions.insert_run(c, a_run()))
    assert database.run_sync(lambda c: sessions.finish_run(c, "run_1", 5, "finish_key"))
    assert not database.run_sync(lambda c: sessions.finish_run(c, "run_1", 6, "hangup"))
    assert not database.run_sync(lambda c: sessions.finish_run(c, "run_2", 6, "hangup"))
    assert database.run_sync(lambda c: sessions.find_run(c, "run_1")) == a_run(
        finished_us=5, end_reason="finish_key"
    )
