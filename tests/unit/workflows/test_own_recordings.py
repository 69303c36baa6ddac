"""A `<url>` that is a recording of ours: from the store, by the rules of its link."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.database.nouns import CREATED_US, a_recording, seed
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.recordings.state import RecordingState
from voiceblocks.workflows.own_recordings import OwnRecordings
from voiceblocks.workflows.serve_recording import sign_link

KEY = SecretKey(bytes(32))
FORMER_KEY = SecretKey(bytes(31) + b"1")
OURS = "http://127.0.0.1:8080"
CONTENT = b"\xff\xfb the recording"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OWNER, STRANGER = "acc_1", "acc_2"
NOW_S = CREATED_US // 1_000_000


class StoppedClock:
    """The time of the rows."""

    def monotonic(self) -> float:
        return 0.0

    def utc_us(self) -> int:
        return CREATED_US


@dataclass(frozen=True)
class Fetched:
    """What HTTP gives."""

    path: Path


@dataclass
class Web:
    """HTTP that notes what it is asked for, and a folder."""

    folder: Path
    fetched: list[tuple[str, str]] = field(default_factory=list)

    async def fetch(self, url: str, account_id: str) -> Fetched:
        self.fetched.append((url, account_id))
        return Fetched(self.folder / "web")

    async def keep_local(
        self, sha256: str, size_bytes: int, read: Callable[[], AsyncIterator[bytes]]
    ) -> Path:
        path = self.folder / sha256
        data = b"".join([chunk async for chunk in read()])
        assert len(data) == size_bytes
        path.write_bytes(data)
        return path


class Store:
    """Has one recording."""

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        assert name == "rec-1.mp3"
        yield CONTENT[start:end]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with one finished recording."""
    opened = Database(database_url)

    def write(connection: Any) -> None:
        seed(connection, "S-1-a")
        ready = {"state": RecordingState.READY, "sha256": SHA256, "size_bytes": len(CONTENT)}
        recordings.insert(connection, a_recording(**ready))
        recordings.insert(connection, a_recording("rec-2"))

    opened.run_sync(write)
    yield opened
    opened.close()


@dataclass
class World:
    """The source, and what is behind it."""

    source: OwnRecordings
    web: Web
    purged: list[str]

    async def status(self, url: str, account_id: str = OWNER) -> str:
        """Of fetching `url`, which HTTP must have no part in."""
        try:
            audio = await self.source.fetch(url, account_id)
            await self.source.confirm(audio)
        except InvalidRequest as error:
            return error.status
        finally:
            assert not self.web.fetched
        assert audio.path.read_bytes() == CONTENT
        return "success_ok"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """The world."""
    web, purged, store = Web(tmp_path), list[str](), Store()
    unchecked: Any = store
    source = OwnRecordings(
        web,
        database=database,
        store=unchecked,
        keys=(KEY, FORMER_KEY),
        public_url=lambda: OURS,
        purges=(purged.append,),
        clock=StoppedClock(),
    )
    return World(source, web, purged)


def link(
    name: str = "rec-1.mp3",
    *,
    in_s: int = 60,
    key: SecretKey = KEY,
    revision: int = 0,
    once: bool = False,
) -> str:
    """A link that we signed."""
    expires_s = NOW_S + in_s
    return sign_link(key, OURS, name, expires_s=expires_s, revision=revision, once=once)


@pytest.mark.parametrize(
    ("url", "account_id", "status"),
    [
        (link(), OWNER, "success_ok"),
        (link(), STRANGER, "success_ok"),
        (link(key=FORMER_KEY), STRANGER, "success_ok"),
        (link(in_s=-1), OWNER, "success_ok"),
        (link(in_s=-1), STRANGER, "error_msg_download_failed"),
        (link() + "x", OWNER, "error_msg_download_failed"),
        (link().partition("?")[0], OWNER, "error_msg_download_failed"),
        (link(key=SecretKey(b"2" * 32)), OWNER, "error_msg_download_failed"),
        (link(revision=1), OWNER, "error_msg_download_failed"),
        (link("rec-2.mp3"), OWNER, "error_msg_download_failed"),
        (link("rec-3.mp3"), OWNER, "error_msg_download_failed"),
    ],
)
async def test_the_signature_counts(world: World, url: str, account_id: str, status: str) -> None:
    """Good for all while it lasts, for its own account after that; forged for nobody."""
    assert await world.status(url, account_id) == status


async def test_a_link_that_is_good_once_is_used_up(world: World) -> None:
    """As by a download."""
    url = link(once=True)
    assert await world.status(url) == "success_ok"
    assert await world.status(url) == "error_msg_download_failed"


async def test_other_urls_go_to_http(world: World) -> None:
    """What is not ours is fetched by HTTP, and confirmed without a look."""
    audio = await world.source.fetch("http://a.example/recordings/rec-1.mp3", OWNER)
    await world.source.confirm(audio)
    assert world.web.fetched == [("http://a.example/recordings/rec-1.mp3", OWNER)]


async def test_a_recording_that_is_deleted_in_between(world: World, database: Database) -> None:
    """Deleted while it was rendered: refused, and what was rendered of it is deleted again."""
    audio = await world.source.fetch(link(), OWNER)
    await database.run(
        lambda c: recordings.update(c, "rec-1", state=RecordingState.DELETED, deleted_us=1)
    )
    with pytest.raises(InvalidRequest, match="error_msg_download_failed"):
        await world.source.confirm(audio)
    assert world.purged == [SHA256]
    assert await world.status(link()) == "error_msg_download_failed"
