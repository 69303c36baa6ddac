"""Pages do not grow with what there is, and no list reads more than it shows."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from sqlalchemy import event

import voiceblocks.console
from tests.asked import plans_of
from tests.many_calls import Filled, fill
from tests.postgres import fresh_sqlite
from voiceblocks.console.app import create_console
from voiceblocks.console.forms import COOKIE
from voiceblocks.console.handlers import ConsoleHandlers, Health
from voiceblocks.database.engines import open_engine, parse_url, sqlite_path
from voiceblocks.database.unit_of_work import Database
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_users
from voiceblocks.workflows.call_own_numbers import CallOwnNumbers
from voiceblocks.workflows.show_to_people import ShowToPeople
from voiceblocks.workflows.sign_in import SignIn

CALLS, ACCOUNTS = 600, 210
GOAL_BYTES = 200_000
STATIC = Path(voiceblocks.console.__file__).parent / "static"
GROWS = {
    "sessions", "legs", "block_runs", "recordings", "notifications", "notification_attempts",
    "charges", "ledger_entries",
}  # fmt: skip
ASKED: list[str] = []


@pytest.fixture(scope="module")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Many calls of many accounts."""
    return fresh_sqlite(tmp_path_factory.mktemp("many"), tmp_path_factory)


@pytest.fixture(scope="module")
def filled(sqlite_url: str) -> Filled:
    """What is in it."""
    engine = open_engine(parse_url(sqlite_url))
    with engine.begin() as connection:
        found = fill(connection, calls=CALLS, accounts=ACCOUNTS)
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def database(sqlite_url: str, filled: Filled) -> Iterator[Database]:
    """Its database, with an ear for how SQLite finds what the pages ask for."""
    opened = Database(sqlite_url)
    event.listen(opened._reader, "connect", _listen)
    yield opened
    opened.close()


def test_no_page_is_over_200_kb_and_each_list_uses_an_index(
    database: Database, filled: Filled, sqlite_url: str
) -> None:
    """Every page with its style and scripts, for an operator and for a user of an account."""
    path = sqlite_path(sqlite_url)
    assert path is not None
    asyncio.run(_look_at_all(database, filled, path))


async def _look_at_all(database: Database, filled: Filled, database_file: Path) -> None:
    clock = SystemClock()
    sign_in = SignIn(database, clock)
    unused = cast("Any", None)
    console = create_console(
        ConsoleHandlers(
            sign_in=sign_in,
            show=ShowToPeople(database, clock),
            act=unused,
            health=lambda: Health((), 0, 0, (), True, 0, 0, 1, 1, 0, 0, {}, 0, 0, 0, 0),
            sign_link=lambda name, revision: f"http://127.0.0.1/recordings/{name}?{revision}",
            recordings=unused,
            answer_file=unused,
            own_numbers=CallOwnNumbers(database, clock),
            lines=unused,
            public_url=lambda: "http://127.0.0.1:8080",
        )
    )
    paths = (
        "/", "/calls", f"/calls/{filled.call}", "/recordings", f"/recordings/{filled.recording}",
        "/notifications", f"/notifications/{filled.notification}", "/account",
        f"/account?of={filled.account}", f"/phone?call={filled.call}", "/trunks", "/health",
    )  # fmt: skip
    static = sum(path.stat().st_size for path in STATIC.iterdir())
    for name, account in (("operator", None), ("owner", filled.account)):
        add = functools.partial(
            manage_users.add_user, name=name, account_id=account, now_us=clock.utc_us()
        )
        secret = await sign_in.with_link((await database.run(add)).secret, "correct horse battery")
        for path in paths:
            ASKED.clear()
            status, size = await _get(console, path, secret)
            refused = account is not None and path in {"/trunks", "/health"}
            assert status == (403 if refused else 200), (name, path)
            assert size + static < GOAL_BYTES, (name, path, size)
            plans = plans_of(database_file, ASKED, "SELECT")
            assert plans or path.endswith("health") or refused
            assert [plan for plan in plans if _reads_all(plan)] == [], (name, path)


def _reads_all(plan: str) -> bool:
    """Whether a table that grows with calls is read without an index, from its beginning."""
    if not plan.startswith("SCAN "):
        return False
    table, _, how = plan.removeprefix("SCAN ").partition(" ")
    return table in GROWS and "USING" not in how


def _listen(driver: sqlite3.Connection, _record: object) -> None:
    driver.set_trace_callback(ASKED.append)


async def _get(console: Any, path: str, secret: str) -> tuple[int, int]:
    """Ask for a page; return status and bytes."""
    parts = urlsplit(path)
    scope = {
        "type": "http", "method": "GET", "path": parts.path, "root_path": "",
        "query_string": parts.query.encode(), "scheme": "http",
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", f"{COOKIE}={secret}".encode())],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await console(scope, receive, send)
    return sent[0]["status"], sum(len(message.get("body", b"")) for message in sent[1:])
