"""An application's history in SQL, on both databases: the right page, and fast."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import a_session, an_application, seed
from voiceblocks.database import accounts, call_history, schema, sessions
from voiceblocks.database.rows import columns_of
from voiceblocks.database.unit_of_work import Database

N_CALLS = 100_000


def fill(connection: Connection) -> None:
    """Calls of two applications in turn, one a second; and two that began together."""
    seed(connection)
    accounts.insert_application(connection, an_application("app2"))
    for number in range(6):
        app_id = "app1" if number % 2 == 0 else "app2"
        created_us = 1000 + number
        session = a_session(f"S-1-{number}", app_id=app_id, created_us=created_us)
        sessions.insert(connection, session)
    sessions.insert(connection, a_session("S-1-4b", created_us=1004))


@pytest.mark.parametrize(
    ("from_us", "to_us", "skip", "limit", "found"),
    [
        (0, 2000, 0, 100, ["S-1-4b", "S-1-4", "S-1-2", "S-1-0"]),
        (0, 2000, 0, 2, ["S-1-4b", "S-1-4"]),
        (0, 2000, 1, 2, ["S-1-4", "S-1-2"]),
        (0, 2000, 4, 100, []),
        (1000, 1002, 0, 100, ["S-1-2", "S-1-0"]),
        (1001, 1001, 0, 100, []),
        (2000, 1000, 0, 100, []),
    ],
)
def test_pages(
    database: Database, from_us: int, to_us: int, skip: int, limit: int, found: list[str]
) -> None:
    """Newest first, both ends of the span inclusive, and never another application's."""
    database.run_sync(fill)
    page = database.run_sync(
        lambda c: call_history.page(c, "app1", from_us, to_us, skip=skip, limit=limit)
    )
    assert [session.id for session in page] == found
    count = database.run_sync(lambda c: call_history.count(c, "app1", from_us, to_us))
    assert count == len(
        database.run_sync(lambda c: call_history.page(c, "app1", from_us, to_us, skip=0, limit=100))
    )


def test_pages_read_the_index_alone(sqlite_url: str) -> None:
    """Among 100,000 calls neither the count nor the last page looks at the calls before it."""
    database = Database(sqlite_url)

    def happen(connection: Connection) -> list[str]:
        seed(connection)
        row = columns_of(a_session())
        rows = [
            {**row, "id": f"S-1-{n:06}", "txn_ref": f"AA-S-1-{n}", "created_us": n}
            for n in range(N_CALLS)
        ]
        connection.execute(schema.sessions.insert(), rows)
        plans = []
        for statement, values in (
            (call_history.PAGE_IDS, {"n_most": 100, "n_skipped": N_CALLS - 100}),
            (call_history.COUNT, {}),
        ):
            values = {"app_id": "app1", "from_us": 0, "to_us": N_CALLS, **values}
            compiled = statement.compile(connection)
            positions = tuple(values[name] for name in compiled.positiontup or ())
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", positions)
            plans += [str(line.detail) for line in explained]
        last = call_history.page(connection, "app1", 0, N_CALLS, skip=N_CALLS - 100, limit=100)
        assert [last[0].id, last[-1].id] == ["S-1-000099", "S-1-000000"]
        assert call_history.count(connection, "app1", 0, N_CALLS) == N_CALLS
        return plans

    plans = database.run_sync(happen)
    database.close()
    assert len(plans) == 2
    for plan in plans:
        assert "USING COVERING INDEX ix_sessions_app_id_created_us_id" in plan
        assert "SCAN" not in plan
