"""Recordings go when their keep time is over, and not a moment before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.database.nouns import CREATED_US, a_recording, an_application, seed
from voiceblocks.database import accounts, recording_acts, recordings, store_tasks, used_links
from voiceblocks.database.unit_of_work import Database
from voiceblocks.database.used_links import UsedLink
from voiceblocks.ids import AppId
from voiceblocks.recordings.act import Doer, RecordingActKind
from voiceblocks.recordings.errors import RecordingNotReady, RecordingOnHold, UnknownRecording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows import manage_recordings
from voiceblocks.workflows.delete_recording import mark_deleted
from voiceblocks.workflows.expire_recordings import AT_ONCE, KEEP_TIME, ExpireRecordings

DAY_US = 86_400_000_000
NOW_US = CREATED_US + 100 * DAY_US
DOER = Doer("operator anna", "case 12", NOW_US)


class At:
    """A clock that stands."""

    def monotonic(self) -> float:
        """Seconds."""
        return 0.0

    def utc_us(self) -> int:
        """Microseconds."""
        return NOW_US


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With a session."""
    opened = Database(database_url)
    opened.run_sync(lambda c: seed(c, "S-1-a"))
    yield opened
    opened.close()


def add(database: Database, name: str, days_old: float, **fields: Any) -> None:
    """A recording that was ready so long ago."""
    values = {
        "state": RecordingState.READY,
        "ready_us": NOW_US - round(days_old * DAY_US),
        "sha256": "ab" * 32,
        **fields,
    }
    database.run_sync(lambda c: recordings.insert(c, a_recording(name, **values)))


async def expired(database: Database, default_days: int) -> set[str]:
    """What goes."""
    expire = ExpireRecordings(database=database, default_days=default_days, clock=At())
    await expire.once()
    rows = database.run_sync(lambda c: recordings.list_in_state(c, RecordingState.DELETED))
    return {row.id for row in rows}


async def test_each_application_has_its_own_time(database: Database) -> None:
    """The settings' time where it has none, 0 for ever; the very microsecond counts."""
    for app, days in [("app2", 3), ("app3", 0)]:
        made = an_application(app, keep_recordings_days=days)
        database.run_sync(lambda c, made=made: accounts.insert_application(c, made))
    add(database, "rec-1", 10)
    add(database, "rec-2", 10 - 1e-9)
    add(database, "rec-3", 3, app_id=AppId("app2"))
    add(database, "rec-4", 2.9, app_id=AppId("app2"))
    add(database, "rec-5", 99, app_id=AppId("app3"))
    assert await expired(database, default_days=10) == {"rec-1", "rec-3"}
    (act,) = database.run_sync(lambda c: recording_acts.list_of_recording(c, "rec-1"))
    assert (act.act, act.done_by, act.at_us) == (RecordingActKind.DELETED, KEEP_TIME, NOW_US)
    task = database.run_sync(lambda c: store_tasks.find(c, "rec-1"))
    assert task is not None
    assert (task.kind, task.node) == (StoreTaskKind.ERASE, "1")


async def test_nothing_goes_by_default(database: Database) -> None:
    """Without any keep time recordings are kept for ever."""
    add(database, "rec-1", 99)
    assert await expired(database, default_days=0) == set()


async def test_what_is_held_or_unfinished_stays(database: Database) -> None:
    """Whatever its age; released, it goes with the next look."""
    add(database, "rec-1", 50)
    add(database, "rec-2", 50, state=RecordingState.FINISHING, ready_us=None)
    database.run_sync(lambda c: manage_recordings.hold(c, "rec-1", DOER))
    assert await expired(database, default_days=10) == set()
    with pytest.raises(RecordingOnHold):
        database.run_sync(lambda c: mark_deleted(c, "rec-1", DOER))
    with pytest.raises(RecordingNotReady):
        database.run_sync(lambda c: mark_deleted(c, "rec-2", DOER))
    database.run_sync(lambda c: manage_recordings.release(c, "rec-1", DOER))
    assert await expired(database, default_days=10) == {"rec-1"}
    acts = database.run_sync(lambda c: recording_acts.list_of_recording(c, "rec-1"))
    kinds = {act.act for act in acts}
    assert kinds == {
        RecordingActKind.HELD,
        RecordingActKind.RELEASED,
        RecordingActKind.DELETED,
    }
    with pytest.raises(UnknownRecording):
        database.run_sync(lambda c: manage_recordings.hold(c, "rec-1", DOER))


async def test_many_go_in_several_transactions(database: Database) -> None:
    """A thousand at once would keep calls from the database."""
    for n in range(AT_ONCE + 5):
        add(database, f"rec-{n}", 50)
    expire = ExpireRecordings(database=database, default_days=10, clock=At())
    assert [await expire.once() for _ in range(3)] == [AT_ONCE, 5, 0]


async def test_used_links_are_forgotten_when_they_would_have_expired(database: Database) -> None:
    """Until then a second use is refused; after it the signature itself is too old."""
    add(database, "rec-1", 1)
    now_s = NOW_US // 1_000_000
    links = [
        UsedLink(id=name, recording_id="rec-1", used_us=1, expires_s=now_s + life_s)
        for name, life_s in (("old", -1), ("good", 1))
    ]
    for link in links:
        assert database.run_sync(lambda c, link=link: used_links.use(c, link))
        assert not database.run_sync(lambda c, link=link: used_links.use(c, link))
    await expired(database, default_days=0)
    assert [database.run_sync(lambda c, link=link: used_links.use(c, link)) for link in links] == [
        True,
        False,
    ]
