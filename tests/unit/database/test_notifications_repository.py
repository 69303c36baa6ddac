"""The outbox in SQL, on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar, cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tests.asked import plans_of
from tests.unit.notifications.outbox import (
    SECOND_US,
    START_US,
    add_application,
    add_notification,
    add_session,
    states,
)
from voiceblocks.database import due_notifications, notification_attempts, notifications
from voiceblocks.database.engines import open_engine, parse_url, sqlite_path
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.state import NotificationState as S

T = TypeVar("T")
Run = Callable[[Callable[[Connection], T]], T]

NOW = START_US + SECOND_US
UNTIL = NOW + 15 * SECOND_US


@pytest.fixture
def run(database: Database) -> Run:
    """Run a function in a transaction on a database with sessions A and B."""

    def seed(connection: Connection) -> None:
        add_application(connection)
        add_session(connection, "A")
        add_session(connection, "B")

    database.run_sync(seed)
    return database.run_sync


def claim(run: Run, now_us: int = NOW, limit: int = 10) -> list[str]:
    """Begin attempts for 15 s of what is due, host by host, and return the ids."""

    def take(connection: Connection) -> list[str]:
        found = [
            one
            for host in due_notifications.waiting_hosts(connection)
            for urgent in (True, False)
            for one in due_notifications.due(
                connection, host.host, urgent=urgent, now_us=now_us, limit=limit
            )
        ]
        claims = [(one.id, now_us + 15 * SECOND_US) for one in found]
        due_notifications.begin_attempts(connection, claims, now_us)
        return [one.id for one in found]

    return run(take)


def next_due_us(connection: Connection) -> int | None:
    """When the first of all is due."""
    hosts = due_notifications.waiting_hosts(connection)
    times = [us for host in hosts for us in (host.urgent_us, host.late_us) if us is not None]
    return min(times, default=None)


def begin(connection: Connection, notification_id: str, now_us: int, until_us: int) -> None:
    """Begin an attempt of one."""
    due_notifications.begin_attempts(connection, [(notification_id, until_us)], now_us)


def test_row_reads_back(run: Run) -> None:
    """A notification comes back as it was inserted."""
    made = run(lambda c: add_notification(c, "A", block="record", parameters="a=%2B1"))
    assert run(lambda c: notifications.find(c, made.id)) == made
    assert run(lambda c: notifications.find(c, "evt_none")) is None
    assert run(lambda c: notifications.list_of_session(c, "A")) == [made]


def test_sequence_is_unique(run: Run) -> None:
    """Two notifications of a session cannot have one place in its order."""
    made = run(lambda c: add_notification(c, "A"))

    def insert_again(connection: Connection) -> None:
        columns = {f: getattr(made, f) for f in made.__dataclass_fields__}
        notifications.insert(connection, Notification(**{**columns, "id": "evt_other"}))

    with pytest.raises(IntegrityError):
        run(insert_again)


def test_claim_takes_the_longest_due_first(run: Run) -> None:
    """What is due leaves in the order of its times, at most `limit`, and nothing early."""
    run(lambda c: add_notification(c, "A", now_us=NOW))
    run(lambda c: add_notification(c, "B", now_us=NOW - 1))
    assert claim(run, NOW - 2) == []
    assert claim(run, limit=1) == ["evt_B_1"]
    assert claim(run) == ["evt_A_1"]


def test_claimed_is_not_claimed_again_until_the_claim_runs_out(run: Run) -> None:
    """A second sender gets nothing, until the first has evidently died."""
    run(lambda c: add_notification(c, "A"))
    assert claim(run) == ["evt_A_1"]
    assert claim(run, UNTIL - 1) == []
    assert claim(run, UNTIL) == ["evt_A_1"]


def test_order_within_a_session(run: Run) -> None:
    """The second of a session waits until the first is settled, however; others do not."""
    for session in ("A", "A", "A", "B"):
        run(lambda c, session=session: add_notification(c, session))
    assert sorted(claim(run)) == ["evt_A_1", "evt_B_1"]
    assert claim(run) == []
    assert run(lambda c: notifications.settle(c, "evt_A_1", S.DELIVERED, NOW))
    assert claim(run) == ["evt_A_2"]
    assert run(lambda c: notifications.settle(c, "evt_A_2", S.GIVEN_UP, NOW))
    assert claim(run) == ["evt_A_3"]


def test_reschedule_gives_the_claim_back(run: Run) -> None:
    """A failed one is due at its new time, and not before."""
    run(lambda c: add_notification(c, "A"))
    claim(run)
    assert run(lambda c: due_notifications.reschedule(c, "evt_A_1", NOW + 500))
    assert claim(run, NOW + 499) == []
    assert run(lambda c: notifications.find(c, "evt_A_1")).attempt_count == 1
    assert claim(run, NOW + 500) == ["evt_A_1"]


def test_attempts_are_counted_and_kept(run: Run) -> None:
    """The first attempt's time stays, the count grows, and each attempt has its row."""
    run(lambda c: add_notification(c, "A"))
    for number, at in enumerate((NOW, NOW + 5), 1):
        run(lambda c, at=at: begin(c, "evt_A_1", at, UNTIL))
        attempt = Attempt("evt_A_1", number, at, 12, 500 if number == 1 else None, None, "é")
        run(lambda c, attempt=attempt: notification_attempts.record(c, attempt))
    found = run(lambda c: notifications.find(c, "evt_A_1"))
    assert (found.attempt_count, found.first_attempt_us) == (2, NOW)
    assert found.claimed_until_us == UNTIL
    attempts = run(lambda c: notification_attempts.list_of(c, "evt_A_1"))
    assert [(a.number, a.http_status, a.answer) for a in attempts] == [
        (1, 500, "é"),
        (2, None, "é"),
    ]
    assert run(lambda c: notification_attempts.count_answers(c, "evt_A_1", 500)) == 1


def test_settled_stays_settled(run: Run) -> None:
    """Whoever comes second changes nothing and is told so."""
    run(lambda c: add_notification(c, "A"))
    assert run(lambda c: notifications.settle(c, "evt_A_1", S.ACTED_ON, NOW))
    assert not run(lambda c: notifications.settle(c, "evt_A_1", S.DELIVERED, NOW + 1))
    assert not run(lambda c: due_notifications.reschedule(c, "evt_A_1", NOW + 1))
    found = run(lambda c: notifications.find(c, "evt_A_1"))
    assert (found.state, found.settled_us, found.attempt_count) == (S.ACTED_ON, NOW, 0)
    assert claim(run, NOW + 10) == []


def test_act_on_settles_what_was_sent(run: Run) -> None:
    """A block accepted ends the retries of what was sent, and of nothing else."""
    for session in ("A", "A", "B"):
        run(lambda c, session=session: add_notification(c, session))
    for sent in ("evt_A_1", "evt_B_1"):
        run(lambda c, sent=sent: begin(c, sent, NOW, UNTIL))
    assert run(lambda c: notifications.act_on(c, "A", NOW)) == 1
    assert run(states) == {"evt_A_1": S.ACTED_ON, "evt_A_2": S.PENDING, "evt_B_1": S.PENDING}
    assert run(lambda c: notifications.act_on(c, "A", NOW)) == 0


def test_supersede_spares_what_lasts(run: Run) -> None:
    """When the call ends, recordings and the ended one are still delivered."""
    run(lambda c: add_notification(c, "A", block="answer"))
    run(lambda c: add_notification(c, "A", block="record"))
    run(lambda c: add_notification(c, "A", block="play", call_ended=True))
    run(lambda c: add_notification(c, "B", block="play"))
    assert run(lambda c: notifications.supersede(c, "A", NOW)) == 1
    assert run(states) == {
        "evt_A_1": S.SUPERSEDED,
        "evt_A_2": S.PENDING,
        "evt_A_3": S.PENDING,
        "evt_B_1": S.PENDING,
    }


@pytest.mark.parametrize("way", ["settle", "act_on", "supersede"])
def test_settling_blanks_secrets(run: Run, way: str) -> None:
    """However it is settled, the digits that a caller pressed do not stay."""
    run(lambda c: add_notification(c, "A", block="gather", parameters="digits=4711&tag=t"))
    run(lambda c: begin(c, "evt_A_1", NOW, UNTIL))
    if way == "settle":
        run(lambda c: notifications.settle(c, "evt_A_1", S.DELIVERED, NOW))
    else:
        run(lambda c: getattr(notifications, way)(c, "A", NOW))
    found = run(lambda c: notifications.find(c, "evt_A_1"))
    assert found.parameters == "digits=blanked&tag=t"
    assert found.claimed_until_us is None


def test_when_to_wake(run: Run) -> None:
    """The next time is that of a first of its session, or of a claim that runs out."""
    assert run(next_due_us) is None
    run(lambda c: add_notification(c, "A", now_us=NOW + 5))
    run(lambda c: add_notification(c, "A", now_us=NOW - 9))
    assert run(next_due_us) == NOW + 5
    claim(run, NOW + 5)
    assert run(next_due_us) == NOW + 5 + 15 * SECOND_US
    run(lambda c: add_notification(c, "B", now_us=NOW + 7))
    assert run(next_due_us) == NOW + 7


def test_recent_are_the_newest(run: Run) -> None:
    """The list for the command line is newest first, and can be narrowed by state."""
    run(lambda c: add_notification(c, "A", now_us=NOW))
    run(lambda c: add_notification(c, "B", now_us=NOW + 1))
    run(lambda c: notifications.settle(c, "evt_A_1", S.GIVEN_UP, NOW))
    assert [n.id for n in run(lambda c: notifications.recent(c, 9))] == ["evt_B_1", "evt_A_1"]
    assert [n.id for n in run(lambda c: notifications.recent(c, 1))] == ["evt_B_1"]
    assert [
        n.id
        for n in run(
            lambda c: notifications.recent(c, 9, notifications.Wanted(states=[S.GIVEN_UP]))
        )
    ] == ["evt_A_1"]


def test_two_senders_share_the_work(run: Run, database_url: str) -> None:
    """On PostgreSQL a second sender passes over what the first is just claiming."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer at a time")
    run(lambda c: add_notification(c, "A", now_us=NOW - 1))
    run(lambda c: add_notification(c, "B", now_us=NOW))
    engine = open_engine(parse_url(database_url))
    with engine.begin() as other:
        first = due_notifications.due(other, "app.example", urgent=True, now_us=NOW, limit=1)
        assert [n.id for n in first] == ["evt_A_1"]
        begin(other, "evt_A_1", NOW, UNTIL)
        assert claim(run) == ["evt_B_1"]
    engine.dispose()
    assert claim(run) == []


def test_one_sessions_questions_read_nothing_of_others(sqlite_url: str) -> None:
    """SQLite looks by session or id, not through all that waits for a dead host."""
    engine = open_engine(parse_url(sqlite_url))
    asked: list[str] = []
    with engine.begin() as connection:
        add_application(connection)
        add_session(connection, "A")
        driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
        driver.set_trace_callback(asked.append)
        first = add_notification(connection, "A")
        notifications.act_on(connection, "A", NOW)
        notifications.supersede(connection, "A", NOW)
        notifications.settle(connection, first.id, S.DELIVERED, NOW)
        driver.set_trace_callback(None)
    engine.dispose()
    about = [one for one in asked if "notifications" in one]
    path = sqlite_path(sqlite_url)
    assert path is not None
    plans = plans_of(path, about, "SELECT", "UPDATE")
    assert len(plans) >= 4
    # Those that SQLite makes for the keys: of the id, and of the session with its sequence.
    assert [one for one in plans if "notifications" in one and "autoindex" not in one] == []


def test_what_is_sent_again_keeps_the_order(run: Run) -> None:
    """However an operator asks, of one session one is on its way, the older before the newer."""

    def prepare(connection: Connection) -> None:
        for _ in range(3):
            add_notification(connection, "A")
        for number in (1, 2, 3):
            notifications.settle(connection, f"evt_A_{number}", S.DELIVERED, NOW)

    def again(*numbers: int) -> None:
        for number in numbers:
            run(lambda c, n=number: resend(c, f"evt_A_{n}"))

    def resend(connection: Connection, notification_id: str) -> None:
        found = notifications.find(connection, notification_id)
        assert found is not None
        notifications.resend(connection, found, "tag=", NOW)

    def settle(number: int) -> None:
        assert run(lambda c: notifications.settle(c, f"evt_A_{number}", S.DELIVERED, NOW))

    run(prepare)
    # The newest is asked for first, and has not left when the others are.
    again(3, 1, 2)
    for number in (1, 2, 3):
        assert claim(run) == [f"evt_A_{number}"]
        assert claim(run) == []
        settle(number)
    # What is on its way already is not overtaken, and one that is told meanwhile comes last.
    again(2)
    assert claim(run) == ["evt_A_2"]
    again(1)
    assert run(lambda c: add_notification(c, "A")).sequence == 4
    assert claim(run) == []
    settle(2)
    assert claim(run) == ["evt_A_1"]
    settle(1)
    assert claim(run) == ["evt_A_4"]
