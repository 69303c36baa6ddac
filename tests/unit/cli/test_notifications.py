"""An operator looks at notifications, has them sent again, and lets a stopped URL go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from tests.unit.cli.test_cli import run
from tests.unit.notifications.outbox import (
    APP,
    START_US,
    add_application,
    add_notification,
    add_session,
    end_session,
)
from voiceblocks.database import due_notifications, notification_attempts, notifications
from voiceblocks.database import stopped_urls as stopped
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.state import NotificationState
from voiceblocks.settings import Settings

T = TypeVar("T")

URL = "http://app.example/n?key=s3cr3t"
LIVES, FIRST, SECOND = "evt_S-1-b_1", "evt_S-1-a_1", "evt_S-1-a_2"


def ask(fn: Callable[[Connection], T]) -> T:
    """Run a function in the database that the commands use."""
    database = Database(Settings().effective_database_url)
    try:
        return database.run_sync(fn)
    finally:
        database.close()


def find(notification_id: str) -> Notification:
    """Return what is stored of one."""
    found = ask(lambda c: notifications.find(c, notification_id))
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is over, whose two notifications were given up, and one that lives."""
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("VOICEBLOCKS_RING_DIR", str(tmp_path / "rings"))
    run("calls", "list")

    def write(connection: Connection) -> None:
        add_application(connection)
        for session in ("S-1-a", "S-1-b"):
            add_session(connection, session)
        for _ in range(2):
            add_notification(connection, "S-1-a", url=URL)
        add_notification(connection, "S-1-b", url="http://other.example/")
        due_notifications.begin_attempts(connection, [(FIRST, START_US)], START_US)
        notification_attempts.record(
            connection,
            Attempt(FIRST, 1, START_US, 1234, http_status=503, error=None, answer="out of order"),
        )
        for one in (FIRST, SECOND, LIVES):
            notifications.settle(connection, one, NotificationState.GIVEN_UP, START_US)
        end_session(connection, "S-1-a")

    ask(write)


def test_show_tells_each_attempt() -> None:
    """When it was, how long it took, what was answered; another id has its sentence."""
    assert run("notifications", "show", FIRST)["attempts"] == [
        {
            "number": 1,
            "started": "2023-11-14 22:13:20Z",
            "latency_ms": 1234,
            "http_status": 503,
            "error": None,
            "answer": "out of order",
        }
    ]
    assert run("notifications", "show", SECOND)["attempts"] == []
    assert "no notification" in run("notifications", "show", "evt_x", exit_code=1)["error"]


def test_resend_by_id_keeps_the_id_and_counts_on() -> None:
    """The same event is pending again, due at once, and its earlier attempts stay counted."""
    assert run("notifications", "resend", FIRST) == {"resent": [FIRST]}
    again = find(FIRST)
    assert again.state is NotificationState.PENDING
    assert START_US < again.next_attempt_us < 2**62
    assert (again.attempt_count, again.attempts_before) == (1, 1)
    assert find(SECOND).state is NotificationState.GIVEN_UP
    assert "on its way" in run("notifications", "resend", FIRST, exit_code=1)["error"]


def test_resend_by_option_is_oldest_first() -> None:
    """What was given up of one call leaves in the order in which it happened."""
    assert run("notifications", "resend", "--session", "S-1-a") == {"resent": [FIRST, SECOND]}
    assert run("notifications", "resend", "--session", "S-1-a") == {"resent": []}
    assert find(LIVES).state is NotificationState.GIVEN_UP


def test_resend_refuses_what_it_must() -> None:
    """Nothing named, both ways named, nothing there, a call that lives: each has its sentence."""
    assert "Name notifications" in run("notifications", "resend", exit_code=1)["error"]
    both = run("notifications", "resend", FIRST, "--session", "S-1-a", exit_code=1)
    assert "not both" in both["error"]
    assert "no notification" in run("notifications", "resend", "evt_x", exit_code=1)["error"]
    assert "not over" in run("notifications", "resend", LIVES, exit_code=1)["error"]
    states = {find(one).state for one in (FIRST, SECOND, LIVES)}
    assert states == {NotificationState.GIVEN_UP}


@pytest.mark.parametrize("by_id", [False, True])
def test_resume_lets_a_stopped_url_go_on(by_id: bool) -> None:
    """By its URL or by the id that `stopped` shows, which is no secret; once is enough."""
    ask(lambda c: stopped.stop(c, APP, URL, START_US))
    (row,) = run("notifications", "stopped")["stopped"]
    assert row["host"] == "app.example"
    assert "s3cr3t" not in str(row)
    name = row["id"] if by_id else URL
    assert run("notifications", "resume", name) == {"resumed": 1}
    assert run("notifications", "stopped") == {"stopped": []}
    assert "not stopped" in run("notifications", "resume", name, exit_code=1)["error"]
