"""How SQLite goes about each statement: what grows with the years is never read as a whole."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable

from voiceblocks import database as package
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.prepared import Prepared

GROWING = {
    "block_runs",
    "charges",
    "ledger_entries",
    "legs",
    "notification_attempts",
    "notifications",
    "number_stock",
    "numbers",
    "recording_acts",
    "recordings",
    "sessions",
    "story_batches",
    "used_links",
}
READ_AS_A_WHOLE = {
    "accounts._ROUTES": "a part of others; with a limit for the console",
    "accounts._NUMBERS": "the command line's list",
    "charges._OF_SESSION": "checks of ours",
    "notifications._ALL_PENDING": "a part of others",
    "number_stock._ALL": "the command line's list",
    "recordings._OLDEST_FIRST": "a part of others",
    "recordings._NEWEST_FIRST": "with a limit",
    "sessions._NEWEST_FIRST": "with a limit",
}
"Statements that are no part of a call, a request or a round of their own."


def statements() -> Iterator[tuple[str, Executable]]:
    """Every statement that a module of `database` holds, by its name."""
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for name, value in vars(module).items():
            statement = value.statement if isinstance(value, Prepared) else value
            if isinstance(statement, Executable):
                yield f"{found.name}.{name}", statement


def plan_of(connection: Connection, statement: Executable) -> list[str]:
    """The lines of EXPLAIN QUERY PLAN; lists are of one value."""
    compiled = str(statement.compile(dialect=sqlite.dialect()))  # type: ignore[attr-defined]
    text = re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "(?)", compiled)
    values = tuple([1] * text.count("?"))
    explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
    return [str(line.detail) for line in explained]


@pytest.fixture
def connection(sqlite_url: str) -> Iterator[Connection]:
    """Of an empty SQLite database: it has no statistics, as ours have none."""
    engine = open_engine(parse_url(sqlite_url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_no_statement_reads_a_table_that_grows(connection: Connection) -> None:
    """Each finds its rows by an index, but for those that are named, with the reason."""
    named = dict(statements())
    scanning = {
        name
        for name, statement in named.items()
        if not name.endswith("_KEEP_DAYS")
        for line in plan_of(connection, statement)
        if (scanned := re.match(r"SCAN (\w+)", line)) and scanned[1] in GROWING
    }
    assert len(named) > 100
    assert scanning == set(READ_AS_A_WHOLE)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("recordings._STORED_BYTES", "COVERING INDEX ix_recordings_app_id_state_ready_us_"),
        ("recordings._TOO_OLD", "INDEX ix_recordings_app_id_state_ready_us_"),
        ("accounts._NUMBERS_OF_ACCOUNT", "INDEX ix_numbers_app_id_number "),
        ("accounts._COUNT_SUBSCRIBED", "INDEX ix_numbers_app_id_number "),
        ("due_notifications._RELEASE", "INDEX sqlite_autoindex_sessions_1 "),
    ],
)
def test_what_is_asked_often_uses_its_index(connection: Connection, name: str, index: str) -> None:
    """Not all recordings that are ready, nor all numbers, for one account's."""
    assert index in "\n".join(plan_of(connection, dict(statements())[name]))
