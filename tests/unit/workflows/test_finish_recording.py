"""Nothing that was recorded is lost to a store or disk that fails for a while."""

# ruff: noqa: ASYNC240 (tests may touch small files)

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_recording, seed
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.calls.events import EndReason, RecordedAudio
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.recordings.interfaces import (
    AudioHealth,
    EncodedRecording,
    StoredObject,
)
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.spool import SpoolWriter
from voiceblocks.recordings.state import RecordingState
from voiceblocks.workflows.finish_left_over import FinishLeftOver
from voiceblocks.workflows.finish_recording import FinishRecording, note_recording

NAME = "rec-1"


class FakeEncoder:
    """Writes the number of samples in place of an MP3; fails as often as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures = 0
        self.absent_ms = 20
        self.abandoned: list[str] = []
        self.followed: list[tuple[str, Path, Path]] = []

    def follow(self, name: str, spool_path: Path, shape: RecordingShape = PLAIN) -> None:
        """Not needed."""

    async def finish(
        self,
        name: str,
        spool_path: Path,
        n_samples: int,
        shape: RecordingShape = PLAIN,
        finish_key: str | None = None,
    ) -> EncodedRecording:
        """See `RecordingEncoder`."""
        if self.failures:
            self.failures -= 1
            raise EncodeError("the lane died")
        path = self.folder / f"{name}.work"
        path.write_text(str(n_samples))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        health = AudioHealth(level_dbfs=-20.0, silent_ms=25, absent_ms=self.absent_ms)
        return EncodedRecording(
            path, path.stat().st_size, digest, n_samples // 8, n_samples, health
        )

    def follow_stereo(
        self, name: str, left: Path, right: Path, shape: RecordingShape = PLAIN
    ) -> None:
        """See `RecordingEncoder`."""
        self.followed.append((name, left, right))

    async def finish_stereo(
        self, name: str, left: Path, right: Path, n_samples: int, shape: RecordingShape = PLAIN
    ) -> EncodedRecording:
        """See `RecordingEncoder`."""
        assert right.name.startswith(f"{name}-heard")
        return await self.finish(name, left, n_samples)

    def abandon(self, name: str) -> None:
        """See `RecordingEncoder`."""
        self.abandoned.append(name)


class FakeStore:
    """A dictionary; fails as often as it is told."""

    def __init__(self) -> None:
        self.failures = 0
        self.damages = 0
        self.objects: dict[str, bytes] = {}

    async def put(self, name: str, source: Path) -> StoredObject:
        """See `RecordingStore`."""
        if self.failures:
            self.failures -= 1
            raise StoreError("no space left")
        self.objects[name] = source.read_bytes()
        if self.damages:
            self.damages -= 1
            self.objects[name] = b"x" + self.objects[name][1:]
        return StoredObject(len(self.objects[name]), CREATED_US)

    async def sha256(self, name: str) -> str:
        """See `RecordingStore`."""
        return hashlib.sha256(self.objects[name]).hexdigest()

    async def stat(self, name: str) -> StoredObject | None:
        """Not needed."""
        raise NotImplementedError

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Not needed."""
        raise NotImplementedError

    async def delete(self, name: str) -> None:
        """Not needed."""
        raise NotImplementedError


class StoppedClock:
    """Always the same."""

    def monotonic(self) -> float:
        """Seconds."""
        return 0.0

    def utc_us(self) -> int:
        """Microseconds."""
        return CREATED_US + 1


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def encoder(tmp_path: Path) -> FakeEncoder:
    """See there."""
    return FakeEncoder(tmp_path)


@pytest.fixture
def store() -> FakeStore:
    """See there."""
    return FakeStore()


@pytest.fixture
def finish(tmp_path: Path, encoder: FakeEncoder, store: FakeStore) -> FinishRecording:
    """With three attempts, one after another."""
    return FinishRecording(
        encoder=encoder,
        store=store,
        spool_dir=tmp_path,
        sign_link=lambda name: f"http://links/{name}",
        retry_pauses_s=(0.0, 0.0),
    )


def some_audio(n_samples: int = 800) -> RecordedAudio:
    """A tenth of a second."""
    return RecordedAudio(NAME, n_samples, 5, 5, 0, 0)


async def test_a_store_that_fails_twice_is_asked_a_third_time(
    finish: FinishRecording, encoder: FakeEncoder, store: FakeStore, tmp_path: Path
) -> None:
    """The application waits a moment longer and gets its link; nothing is left in the work."""
    encoder.failures, store.failures = 1, 1
    finished = await finish(some_audio(), EndReason.FINISH_KEY)
    assert finished is not None
    assert finished.url == "http://links/rec-1.mp3"
    assert store.objects == {"rec-1.mp3": b"800"}
    assert list(tmp_path.glob("*.work")) == []


async def test_what_reads_back_different_is_stored_again(
    finish: FinishRecording, store: FakeStore
) -> None:
    """A disk that swaps a byte is found out before anybody is told that the recording is ready."""
    store.damages = 1
    finished = await finish(some_audio(), EndReason.FINISH_KEY)
    assert finished is not None
    assert store.objects == {"rec-1.mp3": b"800"}
    store.damages = 3
    assert await finish(some_audio(), EndReason.FINISH_KEY) is None


@pytest.mark.parametrize(("absent_ms", "one_way"), [(0, False), (1850, False), (1960, True)])
async def test_one_way_audio_is_seen(
    finish: FinishRecording, encoder: FakeEncoder, absent_ms: int, one_way: bool
) -> None:
    """Next to nothing came from the caller for all of two seconds: not so for pauses."""
    encoder.absent_ms = absent_ms
    finished = await finish(some_audio(16_000), EndReason.HANGUP)
    assert finished is not None
    assert finished.is_one_way is one_way


async def test_it_is_not_asked_for_ever(finish: FinishRecording, store: FakeStore) -> None:
    """Somebody is on the line: the block ends without a recording."""
    store.failures = 3
    assert await finish(some_audio(), EndReason.FINISH_KEY) is None
    assert store.failures == 0


async def test_silence_from_a_caller_who_left_is_no_recording(
    finish: FinishRecording, encoder: FakeEncoder
) -> None:
    """No attempt is made of it."""
    assert await finish(some_audio(0), EndReason.HANGUP) is None
    assert encoder.abandoned == [NAME]


async def _left_over(database: Database, *, has_audio: bool = True) -> list[tuple[str, str]]:
    def happen(connection: Connection) -> list[tuple[str, str]]:
        seed(connection, "S-1-a")
        recordings.insert(connection, a_recording(NAME))
        return note_recording(
            connection, NAME, None, EndReason.FINISH_KEY, CREATED_US, has_audio=has_audio
        )

    return await database.run(happen)


async def _row(database: Database) -> Recording:
    found = await database.run(lambda connection: recordings.find(connection, NAME))
    assert found is not None
    return found


async def test_what_could_not_be_stored_is_stored_later(
    database: Database, finish: FinishRecording, store: FakeStore, tmp_path: Path
) -> None:
    """It is told as failed, stays `finishing`, and becomes `ready` when the store is back."""
    assert await _left_over(database) == [("record_status", "failed")]
    assert (await _row(database)).state is RecordingState.FINISHING
    spool = SpoolWriter(finish.spool_path(NAME), "PCMU")
    spool.finish(800)
    spool.close()
    left_over = FinishLeftOver(database=database, finish_recording=finish, clock=StoppedClock())
    store.failures = 1
    assert await left_over.once() == 0
    assert finish.spool_path(NAME).exists()
    assert await left_over.once() == 1
    row = await _row(database)
    assert (row.state, row.ready_us, row.end_reason) == (
        RecordingState.READY,
        CREATED_US + 1,
        "finish_key",
    )
    # Who had counted them is gone: that is no loss, and no packets of none.
    assert row.packets is None
    assert store.objects == {"rec-1.mp3": b"800"}
    assert not finish.spool_path(NAME).exists()
    assert await left_over.once() == 0


async def test_another_nodes_spool_is_left_to_it(
    database: Database, finish: FinishRecording
) -> None:
    """Where there is no spool, nothing happens."""
    await _left_over(database)
    left_over = FinishLeftOver(database=database, finish_recording=finish, clock=StoppedClock())
    assert await left_over.once() == 0
    assert (await _row(database)).state is RecordingState.FINISHING


async def test_where_nothing_was_recorded_nothing_is_left_over(database: Database) -> None:
    """The row is `failed`, for good."""
    await _left_over(database, has_audio=False)
    assert (await _row(database)).state is RecordingState.FAILED
