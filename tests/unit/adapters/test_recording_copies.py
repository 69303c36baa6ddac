"""Local disk first, S3 later: over a real S3 server, and a wire to it that fails."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.s3_server import BUCKET, Fault, FaultyWire, S3Server, clean_environment
from voiceblocks.adapters import recording_store
from voiceblocks.adapters.recording_copies import LocalAndRemoteCopies, open_recording_copies
from voiceblocks.errors import StoreError

NAME = "rec-0123456789abcdef0123456789abcdef.mp3"
CONTENT = bytes(range(256)) * 4001
SHA256 = hashlib.sha256(CONTENT).hexdigest()

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[S3Server]:
    """One server for all."""
    async with S3Server(tmp_path_factory.mktemp("s3") / "log") as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def wire(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyWire]:
    """The only way to it."""
    async with FaultyWire(server.port) as opened:
        for name in clean_environment():
            monkeypatch.delenv(name)
        for name, value in opened.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(recording_store, "REQUEST_LIMIT_S", 1)
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the local copies are."""
    return tmp_path / "recordings"


@pytest.fixture
def store(wire: FaultyWire, folder: Path, request: pytest.FixtureRequest) -> LocalAndRemoteCopies:
    """With a prefix of each test's own, so that it finds nothing of another's."""
    prefix = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return open_recording_copies(f"s3://{BUCKET}/{prefix}", folder)


@pytest_asyncio.fixture(loop_scope="module")
async def stored(store: LocalAndRemoteCopies, tmp_path: Path) -> LocalAndRemoteCopies:
    """The store with a recording that was put."""
    source = tmp_path / "source.mp3"
    source.write_bytes(CONTENT)
    assert (await store.put(NAME, source)).awaits_upload
    return store


async def collected(store: LocalAndRemoteCopies) -> bytes:
    """All bytes of the recording."""
    return b"".join([chunk async for chunk in store.read(NAME, 0, len(CONTENT))])


async def test_a_recording_is_put_without_the_cloud(
    stored: LocalAndRemoteCopies, wire: FaultyWire, folder: Path
) -> None:
    """What is put, looked up and read before its upload needs not one connection."""
    found = await stored.stat(NAME)
    assert found is not None
    assert found.size_bytes == len(CONTENT)
    assert await collected(stored) == CONTENT
    assert (folder / NAME).read_bytes() == CONTENT
    assert wire.connections == 0


async def test_an_uploaded_recording_is_read_from_the_cloud(
    stored: LocalAndRemoteCopies, folder: Path
) -> None:
    """After the local copy went it is there, whole and in parts; deleted, it is nowhere."""
    await stored.upload(NAME, SHA256)
    assert (folder / NAME).exists()
    await stored.forget_local(NAME)
    assert not (folder / NAME).exists()
    assert await collected(stored) == CONTENT
    assert b"".join([c async for c in stored.read(NAME, 17, 4711)]) == CONTENT[17:4711]
    await stored.delete(NAME)
    assert await stored.stat(NAME) is None


async def test_a_read_goes_on_when_the_local_copy_goes(
    stored: LocalAndRemoteCopies, folder: Path
) -> None:
    """A listener in the middle of a recording does not notice that it moved."""
    await stored.upload(NAME, SHA256)
    heard = b""
    async for chunk in stored.read(NAME, 0, len(CONTENT)):
        heard += chunk
        await stored.forget_local(NAME)
    assert heard == CONTENT


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.NONE])
async def test_an_upload_that_fails_keeps_the_local_copy(
    stored: LocalAndRemoteCopies, wire: FaultyWire, folder: Path, fault: Fault
) -> None:
    """However the wire fails, it is an error, the recording is served, and later it is uploaded."""
    wire.fail(fault)
    with pytest.raises(StoreError):
        await stored.upload(NAME, SHA256)
    assert await collected(stored) == CONTENT
    wire.fail(Fault.NONE)
    await stored.upload(NAME, SHA256)
    await stored.forget_local(NAME)
    assert await collected(stored) == CONTENT


async def test_a_second_upload_sends_nothing(stored: LocalAndRemoteCopies, folder: Path) -> None:
    """After a crash between upload and commit the object is only compared."""
    await stored.upload(NAME, SHA256)
    (folder / NAME).unlink()
    await stored.upload(NAME, SHA256)


async def test_a_damaged_local_copy_is_not_taken_for_uploaded(
    stored: LocalAndRemoteCopies, folder: Path
) -> None:
    """Size alone proves nothing: the hash in the database is that of the encoder."""
    (folder / NAME).write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(StoreError, match="reads back different"):
        await stored.upload(NAME, SHA256)


async def test_the_cloud_s_own_link(stored: LocalAndRemoteCopies) -> None:
    """Only for what is only there; it gives the audio, and not to another method."""
    await stored.upload(NAME, SHA256)
    assert await stored.remote_link(NAME, "GET", 60) is None
    await stored.forget_local(NAME)
    link = await stored.remote_link(NAME, "GET", 60)
    assert link is not None
    assert "X-Amz-Expires=60" in link
    async with aiohttp.ClientSession() as http, http.get(link) as reply:
        assert await reply.read() == CONTENT


async def test_deleting_while_the_cloud_is_away(
    stored: LocalAndRemoteCopies, wire: FaultyWire, folder: Path
) -> None:
    """The local copy is gone all the same, and whoever deletes hears that the rest is not."""
    await stored.upload(NAME, SHA256)
    wire.fail(Fault.REFUSED)
    with pytest.raises(StoreError):
        await stored.delete(NAME)
    assert not (folder / NAME).exists()
    wire.fail(Fault.NONE)
    await stored.delete(NAME)
    assert await stored.stat(NAME) is None


async def test_local_disk_alone_awaits_nothing(tmp_path: Path) -> None:
    """Without a cloud a put is the end, and there is nothing to send readers on to."""
    source = tmp_path / "source.mp3"
    source.write_bytes(CONTENT)
    store = open_recording_copies((tmp_path / "elsewhere").as_uri(), tmp_path / "unused")
    assert not (await store.put(NAME, source)).awaits_upload
    assert (tmp_path / "elsewhere" / NAME).exists()
    assert not (tmp_path / "unused").exists()
    assert await store.remote_link(NAME, "GET", 60) is None
    assert await store.local_names() == []
    with pytest.raises(StoreError):
        await store.upload(NAME, SHA256)
