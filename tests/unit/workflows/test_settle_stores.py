"""Uploads and erasures are carried out, however long the store is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.unit.database.nouns import CREATED_US, a_recording, seed
from voiceblocks.database import recordings, store_tasks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StoreError
from voiceblocks.recordings.act import Doer
from voiceblocks.recordings.interfaces import StoredObject
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.recordings.store_task import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    StoreTask,
    StoreTaskKind,
    pause_s,
)
from voiceblocks.workflows.delete_recording import EraseRecording, mark_deleted
from voiceblocks.workflows.leave_store_task import leave_task
from voiceblocks.workflows.settle_stores import AT_ONCE, PERIOD_S, SettleStores

SHA256 = "ab" * 32
HOURS = 6


class FakeCopies:
    """Names that are on local disk and in the cloud; the cloud may be away."""

    def __init__(self) -> None:
        self.local: set[str] = set()
        self.remote: set[str] = set()
        self.is_away = False
        self.attempts = 0
        self.before_uploaded = lambda: None

    async def upload(self, name: str, sha256: str) -> None:
        """See `RecordingCopies`."""
        assert sha256 == SHA256
        self._ask()
        self.before_uploaded()
        self.remote.add(name)

    async def forget_local(self, name: str) -> None:
        """See `RecordingCopies`."""
        self.local.discard(name)

    async def delete(self, name: str) -> None:
        """See `RecordingStore`."""
        self.local.discard(name)
        self._ask()
        self.remote.discard(name)

    async def local_names(self) -> list[str]:
        """See `RecordingCopies`."""
        return sorted(self.local)

    async def put(self, name: str, source: Path) -> StoredObject:
        """Not needed."""
        raise NotImplementedError

    async def sha256(self, name: str) -> str:
        """Not needed."""
        raise NotImplementedError

    async def stat(self, name: str) -> StoredObject | None:
        """Not needed."""
        raise NotImplementedError

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Not needed."""
        raise NotImplementedError

    async def remote_link(
        self, name: str, method: Literal["GET", "HEAD"], ttl_s: int
    ) -> str | None:
        """Not needed."""
        raise NotImplementedError

    def _ask(self) -> None:
        self.attempts += 1
        if self.is_away:
            raise StoreError("it cannot be stored") from OSError("connection refused")


class MovingClock:
    """Moves when it is told."""

    def __init__(self) -> None:
        self.now_us = CREATED_US

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_us / 1e6

    def utc_us(self) -> int:
        """Microseconds."""
        return self.now_us

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += round(seconds * 1e6)


class Place:
    """A node's stores with ready recordings that await their upload."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.copies = FakeCopies()
        self.clock = MovingClock()
        self.purged: list[str] = []
        database.run_sync(lambda c: seed(c, "S-1-a"))
        self.restart()

    def restart(self) -> None:
        """As a new process: it remembers what the database does."""
        self.settle = SettleStores(
            database=self.database,
            node="1",
            store=self.copies,
            erase=EraseRecording(
                store=self.copies,
                spool_path=lambda name: self.folder / f"{name}.spool",
                purges=(self.purged.append,),
            ),
            clock=self.clock,
        )

    def add(self, name: str, **fields: Any) -> Recording:
        """A ready recording on local disk, and its task."""
        values = {"state": RecordingState.READY, "sha256": SHA256, "size_bytes": 9, **fields}
        made = a_recording(name, **values)
        self.database.run_sync(lambda c: recordings.insert(c, made))
        self.database.run_sync(
            lambda c: leave_task(c, made, StoreTaskKind.UPLOAD, self.clock.now_us)
        )
        self.copies.local.add(made.object_name)
        return made

    def task(self, name: str) -> StoreTask | None:
        """What is to be done with a recording."""
        return self.database.run_sync(lambda c: store_tasks.find(c, name))

    def row(self, name: str) -> Recording:
        """What is known of it."""
        found = self.database.run_sync(lambda c: recordings.find(c, name))
        assert found is not None
        return found

    def delete(self, name: str) -> None:
        """As an application or an operator does."""
        doer = Doer("somebody", "why not", self.clock.now_us)
        self.database.run_sync(lambda c: mark_deleted(c, name, doer))


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    """On both databases."""
    database = Database(database_url)
    yield Place(database, tmp_path)
    database.close()


async def test_an_upload_ends_with_the_local_copy_gone(place: Place) -> None:
    """Only after the database knows that it is uploaded; then there is nothing to do."""
    place.add("rec-1")
    assert await place.settle.once() == 0.0
    assert (place.copies.local, place.copies.remote) == (set(), {"rec-1.mp3"})
    assert place.row("rec-1").uploaded_us == CREATED_US
    assert place.task("rec-1") is None
    assert await place.settle.once() == PERIOD_S


async def test_a_store_that_is_away_for_hours(place: Place) -> None:
    """It is asked again and again, ever more seldom, also after a restart; then it has all."""
    for n in range(6):
        place.add(f"rec-{n}")
    place.copies.is_away = True
    waited_s, n_rounds = 0.0, 0
    while waited_s < HOURS * 3600:
        pause = await place.settle.once()
        place.clock.pass_s(pause)
        waited_s += pause
        n_rounds += 1
        if n_rounds == 20:
            place.restart()
    assert len(place.copies.local) == 6
    # No more than one attempt in five minutes, beside the beginnings of two processes.
    assert AT_ONCE + 10 < place.copies.attempts < HOURS * 12 + 30
    task = place.task("rec-0")
    assert task is not None
    assert task.last_error == "connection refused"
    place.copies.is_away = False
    for _ in range(8):
        place.clock.pass_s(await place.settle.once())
    assert len(place.copies.remote) == 6
    assert place.copies.local == set()


async def test_all_are_due_as_soon_as_one_succeeds(place: Place) -> None:
    """A recording that was tried an hour ago does not wait another when the store is back."""
    place.add("rec-1")
    place.copies.is_away = True
    for _ in range(12):
        place.clock.pass_s(await place.settle.once())
    waiting = place.task("rec-1")
    assert waiting is not None
    assert waiting.attempt_count > 3
    place.add("rec-2")
    place.copies.is_away = False
    for _ in range(3):
        await place.settle.once()
    assert place.copies.remote == {"rec-1.mp3", "rec-2.mp3"}


async def test_one_recording_that_fails_stops_no_other(place: Place) -> None:
    """A broken one waits longer and longer; what comes after it is uploaded meanwhile."""
    place.add("rec-0", sha256=SHA256)
    upload = place.copies.upload

    async def fail_for_one(name: str, sha256: str) -> None:
        if name == "rec-0.mp3":
            raise StoreError("reads back different")
        await upload(name, sha256)

    place.copies.upload = fail_for_one  # type: ignore[method-assign]
    for n in range(1, 30):
        place.add(f"rec-{n}")
        place.clock.pass_s(10)
        while await place.settle.once() == 0.0:
            pass
    assert len(place.copies.remote) >= 27
    assert place.copies.local >= {"rec-0.mp3"}


async def test_deleted_before_its_upload(place: Place) -> None:
    """The task to upload is replaced: nothing reaches the cloud, and nothing is left."""
    place.add("rec-1")
    (place.folder / "rec-1.spool").touch()
    (place.folder / "rec-1-heard.spool").touch()
    place.delete("rec-1")
    await place.settle.once()
    assert (place.copies.local, place.copies.remote) == (set(), set())
    assert place.task("rec-1") is None
    assert place.purged == [SHA256]
    assert list(place.folder.glob("*.spool")) == []


async def test_deleted_during_its_upload(place: Place) -> None:
    """What arrives in the cloud after the deletion is erased there, too."""
    place.add("rec-1")
    place.copies.before_uploaded = lambda: place.delete("rec-1")
    await place.settle.once()
    assert place.copies.remote == {"rec-1.mp3"}
    await place.settle.once()
    assert (place.copies.local, place.copies.remote) == (set(), set())
    assert place.task("rec-1") is None
    assert place.row("rec-1").state is RecordingState.DELETED
    assert place.row("rec-1").uploaded_us is None


async def test_erasing_while_the_store_is_away(place: Place) -> None:
    """What is here goes at once, the rest when the store is back."""
    place.add("rec-1")
    await place.settle.once()
    place.delete("rec-1")
    place.copies.is_away = True
    pause = await place.settle.once()
    assert place.purged == [SHA256]
    assert place.copies.remote == {"rec-1.mp3"}
    place.copies.is_away = False
    place.clock.pass_s(pause)
    await place.settle.once()
    assert place.copies.remote == set()
    assert place.task("rec-1") is None


async def test_a_copy_that_a_crash_left_goes_at_the_start(place: Place) -> None:
    """Uploaded and committed, but not deleted: at the next start; what is not uploaded stays."""
    place.add("rec-1", uploaded_us=CREATED_US)
    place.add("rec-2")
    place.copies.local.add("of somebody else")
    await place.settle._tidy_up()
    assert place.copies.local == {"rec-2.mp3", "of somebody else"}


async def test_another_node_s_tasks_are_left_alone(place: Place) -> None:
    """Only the node whose disk has the file can upload it."""
    made = place.add("rec-1")
    place.database.run_sync(
        lambda c: store_tasks.put(
            c,
            StoreTask(
                recording_id=made.id,
                kind=StoreTaskKind.UPLOAD,
                node="2",
                next_attempt_us=0,
                created_us=0,
            ),
        )
    )
    assert await place.settle.once() == PERIOD_S
    assert place.copies.attempts == 0


def test_pauses_grow_to_an_hour() -> None:
    """Never shorter than before, and never endless."""
    pauses = [pause_s(n) for n in range(1, 10_000)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
