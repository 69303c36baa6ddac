"""One look at the outbox shares what may leave among hosts that can take something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from tests.unit.notifications.outbox import (
    SECOND_US,
    START_US,
    add_application,
    add_notification,
    add_session,
)
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.host_health import FAILURES_TO_OPEN, HostHealth
from voiceblocks.workflows.claim_notifications import RequestLimits, claim_notifications

NOW = START_US + SECOND_US
REQUESTS = RequestLimits(live_s=10, late_s=30, claim_margin_s=5)
N_DEAD = 7
LIMIT = 16


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Twenty notifications for one host, and one for each of seven others."""
    opened = Database(database_url)
    opened.run_sync(fill)
    yield opened
    opened.close()


def fill(connection: Connection) -> None:
    """Insert them, all due."""
    add_application(connection)
    hosts = ["healthy.example"] * 20 + [f"dead{n}.example" for n in range(N_DEAD)]
    for n, host in enumerate(hosts):
        add_session(connection, f"S-1-{n}")
        add_notification(connection, f"S-1-{n}", url=f"http://{host}/", call_ended=True)


def claimed_hosts(database: Database, health: HostHealth) -> Counter[str]:
    """How many leave for each host with one look."""
    claimed = database.run_sync(
        lambda connection: claim_notifications(
            connection,
            health,
            now_us=NOW,
            limit=LIMIT,
            requests=REQUESTS,
            newest_token=lambda _connection, _app, _now: "token",
        )
    )
    return Counter(one.notification.host for one in claimed.departures)


def test_hosts_without_room_take_no_share(database: Database) -> None:
    """However many dead hosts are waited for, the healthy one gets the whole look."""
    health = HostHealth(per_host=128, in_all=512, chance=lambda: 0.0)
    for n in range(N_DEAD):
        for _ in range(FAILURES_TO_OPEN):
            health.failed(f"dead{n}.example", NOW)
    assert claimed_hosts(database, health) == {"healthy.example": LIMIT}


def test_hosts_with_room_share(database: Database) -> None:
    """One of whom much waits does not keep the others waiting: each gets its part."""
    health = HostHealth(per_host=128, in_all=512, chance=lambda: 0.0)
    claimed = claimed_hosts(database, health)
    assert claimed == {"healthy.example": 2, **{f"dead{n}.example": 1 for n in range(N_DEAD)}}
