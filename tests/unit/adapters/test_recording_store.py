"""The contract of `RecordingStore`, over local disk and over memory."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from voiceblocks.adapters.recording_store import (
    CHUNK_BYTES,
    ObjectRecordingStore,
    open_recording_store,
)
from voiceblocks.errors import StartupError, StoreError

NAME = "rec-0123456789abcdef0123456789abcdef.mp3"
CONTENT = bytes(range(256)) * 4001


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectRecordingStore:
    """One store of each kind."""
    if request.param == "local":
        return open_recording_store(f"file://{tmp_path}/store of recordings")
    return ObjectRecordingStore(MemoryStore())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to store."""
    path = tmp_path / "source.mp3"
    path.write_bytes(CONTENT)
    return path


def _replace(path: Path, content: bytes) -> None:
    """Another file of the same name: what was stored must not change, see `put`."""
    path.unlink()
    path.write_bytes(content)


async def collected(chunks: AsyncIterator[bytes]) -> bytes:
    """All bytes of a read."""
    return b"".join([chunk async for chunk in chunks])


async def test_put_then_stat(store: ObjectRecordingStore, source: Path) -> None:
    """What was put is there, with its size and a date of now."""
    stored = await store.put(NAME, source)
    assert stored.size_bytes == len(CONTENT)
    assert abs(stored.last_modified_us / 1e6 - time.time()) < 60
    assert await store.stat(NAME) == stored


async def test_put_keeps(store: ObjectRecordingStore, source: Path) -> None:
    """The stored object is there when the source is gone, or another file."""
    await store.put(NAME, source)
    _replace(source, b"changed")
    assert await collected(store.read(NAME, 0, len(CONTENT))) == CONTENT


async def test_on_the_same_disk_nothing_is_copied(tmp_path: Path, source: Path) -> None:
    """A long recording is stored as soon as a short one: both names are one file."""
    folder = tmp_path / "here"
    store = open_recording_store(folder.as_uri())
    (folder / f".{NAME}.new").write_bytes(b"left by a crash")
    await store.put(NAME, source)
    assert (folder / NAME).samefile(source)
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
async def test_elsewhere_it_is_copied(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Another disk, or a file system without links, gets a copy."""

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(code, "no link")

    monkeypatch.setattr(os, "link", refuse)
    store = open_recording_store((tmp_path / "there").as_uri())
    assert (await store.put(NAME, source)).size_bytes == len(CONTENT)
    assert not (tmp_path / "there" / NAME).samefile(source)
    assert await store.sha256(NAME) == hashlib.sha256(CONTENT).hexdigest()


async def test_a_disk_that_refuses(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for a name is an error of the store, as everything else is."""

    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError):
        await open_recording_store((tmp_path / "there").as_uri()).put(NAME, source)


async def test_the_hash_is_of_what_is_there(store: ObjectRecordingStore, source: Path) -> None:
    """All of an object is read back, also one of many chunks; what is missing is an error."""
    await store.put(NAME, source)
    assert await store.sha256(NAME) == hashlib.sha256(CONTENT).hexdigest()
    await store.delete(NAME)
    with pytest.raises(StoreError):
        await store.sha256(NAME)


async def test_put_replaces(store: ObjectRecordingStore, source: Path) -> None:
    """A repeated put, as after a crash, leaves the newest content."""
    await store.put(NAME, source)
    _replace(source, b"second")
    assert (await store.put(NAME, source)).size_bytes == 6
    assert await collected(store.read(NAME, 0, 6)) == b"second"


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (0, len(CONTENT)), (100, 100), (17, 4711), (len(CONTENT) - 1, len(CONTENT))],
)
async def test_ranges(store: ObjectRecordingStore, source: Path, start: int, end: int) -> None:
    """A range is start inclusive and end exclusive; an empty one is nothing."""
    await store.put(NAME, source)
    assert await collected(store.read(NAME, start, end)) == CONTENT[start:end]


async def test_local_reads_come_in_chunks(tmp_path: Path, source: Path) -> None:
    """A long recording is never held in memory as a whole."""
    store = open_recording_store(tmp_path.as_uri())
    await store.put(NAME, source)
    sizes = [len(chunk) async for chunk in store.read(NAME, 0, len(CONTENT))]
    assert len(sizes) > 1
    assert max(sizes) <= 2 * CHUNK_BYTES


@pytest.mark.parametrize(
    ("start", "end"), [(0, len(CONTENT) + 1), (len(CONTENT), len(CONTENT) + 5)]
)
async def test_reading_past_the_end(
    store: ObjectRecordingStore, source: Path, start: int, end: int
) -> None:
    """Fewer bytes than announced is an error, not a short answer."""
    await store.put(NAME, source)
    with pytest.raises(StoreError):
        await collected(store.read(NAME, start, end))


async def test_missing(store: ObjectRecordingStore) -> None:
    """What is not there has no stat, cannot be read, and can be deleted."""
    assert await store.stat(NAME) is None
    await store.delete(NAME)
    with pytest.raises(StoreError) as caught:
        await collected(store.read(NAME, 0, 10))
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_delete(store: ObjectRecordingStore, source: Path) -> None:
    """A deleted recording is gone; deleting twice is fine."""
    await store.put(NAME, source)
    await store.delete(NAME)
    await store.delete(NAME)
    assert await store.stat(NAME) is None


async def test_missing_source(store: ObjectRecordingStore, tmp_path: Path) -> None:
    """A source that is not there is a StoreError with its cause."""
    with pytest.raises(StoreError) as caught:
        await store.put(NAME, tmp_path / "nothing")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    "name", ["", "../secret.key", "a/b.mp3", ".hidden", "a b", "x" * 201, "a\n", "ä.mp3"]
)
async def test_names(store: ObjectRecordingStore, source: Path, name: str) -> None:
    """No name leads out of the store."""
    with pytest.raises(StoreError):
        await store.put(name, source)
    with pytest.raises(StoreError):
        await store.stat(name)
    with pytest.raises(StoreError):
        await collected(store.read(name, 0, 1))
    with pytest.raises(StoreError):
        await store.delete(name)


async def test_local_put_is_synced(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the file and its folder are synced before put returns."""
    synced: list[Path] = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink())
    )
    folder = tmp_path / "store"
    await open_recording_store(folder.as_uri()).put(NAME, source)
    assert synced == [folder / NAME, folder]


@pytest.mark.parametrize(
    "url", ["", "/var/recordings", "ftp://x/y", "http://x/y", "s3://", "file://", "file://h/x"]
)
def test_urls_that_name_no_store(url: str) -> None:
    """A RECORDINGS_URL that cannot work stops the start with a sentence."""
    with pytest.raises(StartupError, match="RECORDINGS_URL"):
        open_recording_store(url)


def test_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default, under a relative DATA_DIR, is a folder below the working directory."""
    monkeypatch.chdir(tmp_path)
    open_recording_store("file://./var/recordings")
    assert (tmp_path / "var" / "recordings").is_dir()


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "az://container/prefix"])
def test_clouds(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cloud stores are made from their URL, without a connection."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert isinstance(open_recording_store(url), ObjectRecordingStore)
