"""Downloading custom audio, from a real server on the loopback address."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters import audio_download
from voiceblocks.adapters.audio_download import MAX_BYTES, AudioDownloader
from voiceblocks.adapters.cache_folder import CacheLimits
from voiceblocks.adapters.download_freshness import read_freshness
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.errors import AdapterError, InvalidRequest
from voiceblocks.system_clock import SystemClock

ACCOUNT = "acc_1"
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


class SetClock:
    """Time as the test says."""

    now_s = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_s

    def utc_us(self) -> int:
        """Microseconds."""
        return int(self.now_s * 1e6)


class FileServer:
    """Serves one file in the ways that servers do, and keeps what was asked."""

    def __init__(self) -> None:
        self.content = b"RIFF" + bytes(1000)
        self.headers: dict[str, str] = {}
        self.status = 200
        self.conditions: list[tuple[str | None, str | None]] = []
        self.statuses: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self.stop: Callable[[], Awaitable[None]]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        self.conditions.append(asked)
        await self.gate.wait()
        etag = self.headers.get("ETag")
        since = self.headers.get("Last-Modified")
        unchanged = asked != (None, None) and asked == (etag, since)
        status = 304 if unchanged else self.status
        self.statuses.append(status)
        if status == 304:
            return web.Response(status=304)
        return web.Response(status=status, body=self.content, headers=self.headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        # No Content-Length: the size is known only when it is too late.
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(12):
            await response.write(bytes(1024 * 1024))
        return response

    async def redirect(self, request: web.Request) -> web.Response:
        n = int(request.match_info["n"])
        location = "/a.wav" if n == 1 else f"/redirect/{n - 1}"
        return web.Response(status=302, headers={"Location": location})


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    """The server, listening."""
    made = FileServer()
    application = web.Application()
    application.router.add_get("/a.wav", made.answer)
    application.router.add_get("/endless.wav", made.stream)
    application.router.add_get("/redirect/{n}", made.redirect)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made.stop = runner.cleanup
    yield made
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[GuardedHttp]:
    """A client that may reach the server."""
    made = GuardedHttp([ipaddress.ip_network("127.0.0.1/32")])
    yield made
    await made.close()


@pytest.fixture
def clock() -> SetClock:
    """Stands still."""
    return SetClock()


@pytest.fixture
def downloader(http: GuardedHttp, tmp_path: Path, clock: SetClock) -> AudioDownloader:
    """A downloader with an empty cache."""
    return AudioDownloader(http, tmp_path / "cache", clock)


async def failure(downloader: AudioDownloader, url: str) -> str:
    """The status that a fetch fails with."""
    with pytest.raises(InvalidRequest) as caught:
        await downloader.fetch(url, ACCOUNT)
    return caught.value.status


def files_in(folder: Path) -> list[Path]:
    """All files of a folder."""
    return list(folder.iterdir())


def age(folder: Path) -> None:
    """Make everything ten minutes older, in place of waiting."""
    for path in files_in(folder):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 600 * 10**9))


async def test_download(downloader: AudioDownloader, server: FileServer) -> None:
    """The file lies on disk as it was served, with its digest."""
    got = await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)
    assert got.path.read_bytes() == server.content
    assert got.sha256 == hashlib.sha256(server.content).hexdigest()
    assert (got.size_bytes, got.etag, got.last_modified) == (len(server.content), None, None)


async def test_without_a_date_it_is_downloaded_each_time(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """A server that says nothing about changes is believed to change."""
    await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)
    server.content = b"new"
    assert (await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)).path.read_bytes() == b"new"
    assert server.conditions == [(None, None), (None, None)]


@pytest.mark.parametrize(
    "headers",
    [{"Last-Modified": DATE}, {"ETag": '"v1"'}, {"ETag": 'W/"v1"', "Last-Modified": DATE}],
)
async def test_unchanged_costs_one_round_trip(
    http: GuardedHttp, server: FileServer, tmp_path: Path, headers: dict[str, str]
) -> None:
    """What is kept is asked for conditionally, also after a restart; a change is noticed."""
    server.headers = headers
    url = f"{server.url}/a.wav"
    first = await AudioDownloader(http, tmp_path, SystemClock()).fetch(url, ACCOUNT)
    again = AudioDownloader(http, tmp_path, SystemClock())
    assert await again.fetch(url, ACCOUNT) == first
    assert server.statuses == [200, 304]
    assert server.conditions[1] == (headers.get("ETag"), headers.get("Last-Modified"))
    server.headers = {name: value.replace("1", "2") for name, value in headers.items()}
    server.content = b"changed"
    changed = await again.fetch(url, ACCOUNT)
    assert changed.path.read_bytes() == b"changed"
    assert first.path.read_bytes() != b"changed"
    assert server.statuses == [200, 304, 200]


@pytest.mark.parametrize("damage", ["gone", "short", "entry"])
async def test_a_damaged_cache_is_downloaded_anew(
    downloader: AudioDownloader, server: FileServer, tmp_path: Path, damage: str
) -> None:
    """A file that is missing or has another size, and an unreadable entry, are not used."""
    server.headers = {"ETag": '"v1"'}
    url = f"{server.url}/a.wav"
    first = await downloader.fetch(url, ACCOUNT)
    if damage == "gone":
        first.path.unlink()
    elif damage == "short":
        first.path.write_bytes(b"x")
    else:
        next((tmp_path / "cache").glob("*.json")).write_bytes(b"{")
    assert (await downloader.fetch(url, ACCOUNT)).path.read_bytes() == server.content
    assert server.conditions == [(None, None), (None, None)]


async def test_fetches_at_the_same_time_are_one(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """Ten calls that need one file download it once, also when the first call hangs up."""
    server.gate.clear()
    url = f"{server.url}/a.wav"
    tasks = [asyncio.create_task(downloader.fetch(url, ACCOUNT)) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    server.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert len(set(outcomes[1:])) == 1
    assert len(server.statuses) == 1


async def test_too_large(downloader: AudioDownloader, server: FileServer, tmp_path: Path) -> None:
    """10 MB is fine; one byte more is refused, whether announced or found out."""
    server.content = bytes(MAX_BYTES)
    assert (await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)).size_bytes == MAX_BYTES
    server.content += b"x"
    assert await failure(downloader, f"{server.url}/a.wav") == "error_msg_invalid_file_size"
    assert await failure(downloader, f"{server.url}/endless.wav") == "error_msg_invalid_file_size"
    assert not list((tmp_path / "cache").glob("part-*"))


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 500, 503])
async def test_other_answers_fail(
    downloader: AudioDownloader, server: FileServer, status: int
) -> None:
    """Only 200 is a file."""
    server.status = status
    assert await failure(downloader, f"{server.url}/a.wav") == "error_msg_download_failed"


async def test_packed_answers_fail(downloader: AudioDownloader, server: FileServer) -> None:
    """A packed body is not unpacked: it could be of any size."""
    server.headers = {"Content-Encoding": "gzip"}
    assert await failure(downloader, f"{server.url}/a.wav") == "error_msg_download_failed"


async def test_redirects(downloader: AudioDownloader, server: FileServer) -> None:
    """Three redirects are followed, not four."""
    assert (await downloader.fetch(f"{server.url}/redirect/3", ACCOUNT)).size_bytes == len(
        server.content
    )
    assert await failure(downloader, f"{server.url}/redirect/4") == "error_msg_download_failed"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a.wav", "http://169.254.169.254/a.wav", "ftp://a.example/a.wav", ""]
)
async def test_refused_urls(downloader: AudioDownloader, url: str) -> None:
    """What the guard refuses is an invalid URL."""
    assert await failure(downloader, url) == "error_msg_invalid_url"


async def test_unreachable_and_slow(http: GuardedHttp, server: FileServer, tmp_path: Path) -> None:
    """No connection and no end within the time limit are failed downloads."""
    downloader = AudioDownloader(http, tmp_path, SystemClock(), time_limit_s=0.1)
    server.gate.clear()
    assert await failure(downloader, f"{server.url}/a.wav") == "error_msg_download_failed"
    server.gate.set()
    assert await failure(downloader, "http://127.0.0.1:1024/") == "error_msg_download_failed"


async def test_the_cache_is_bounded(http: GuardedHttp, server: FileServer, tmp_path: Path) -> None:
    """What was unused longest goes first; what was just fetched stays."""
    downloader = AudioDownloader(http, tmp_path, SystemClock(), limits=CacheLimits(max_bytes=2000))
    server.headers = {"ETag": '"v"'}
    kept = []
    for n in range(3):
        server.content = bytes([n]) * 900
        kept.append((await downloader.fetch(f"{server.url}/a.wav?{n}", ACCOUNT)).path)
        age(tmp_path)
    assert not kept[0].exists()
    assert kept[2].exists()
    assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 2000


async def test_a_broken_disk_is_ours(
    downloader: AudioDownloader, server: FileServer, tmp_path: Path
) -> None:
    """A folder that went away is not blamed on the application."""
    (tmp_path / "cache").rmdir()
    with pytest.raises(AdapterError, match="cannot be written"):
        await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)


async def test_leftovers_of_a_crash_are_removed(http: GuardedHttp, tmp_path: Path) -> None:
    """Half a download of an earlier process does not stay on disk."""
    (tmp_path / "part-x").write_bytes(b"half")
    AudioDownloader(http, tmp_path, SystemClock())
    assert files_in(tmp_path) == []


async def test_a_hung_host_holds_up_nobody_else(server: FileServer, tmp_path: Path) -> None:
    """Forty requests wait for one server; another server's file comes at once."""
    hung = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    hung_url = f"http://127.0.0.1:{hung.sockets[0].getsockname()[1]}"
    http = GuardedHttp([ipaddress.ip_network("127.0.0.0/8")])
    downloader = AudioDownloader(http, tmp_path / "files", SystemClock(), time_limit_s=3.0)
    waiting = [
        asyncio.ensure_future(downloader.fetch(f"{hung_url}/{number}.wav", ACCOUNT))
        for number in range(40)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await downloader.fetch(f"{server.url}/a.wav", ACCOUNT)
    assert not any(one.done() for one in waiting)
    # Whoever waited for room has waited as long as who waited for the server.
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"error_msg_download_failed"}
    hung.close()
    await http.close()


async def test_many_files_at_once_all_arrive_and_stay(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """Tidying up after one download neither fails nor forgets another that ends beside it."""
    server.headers = {"Last-Modified": DATE}
    urls = [f"{server.url}/a.wav?n={number}" for number in range(40)]
    for statuses in ([200] * 40, [304] * 40):
        server.statuses.clear()
        fetched = await asyncio.gather(*(downloader.fetch(url, ACCOUNT) for url in urls))
        assert all(one.path.exists() for one in fetched)
        assert server.statuses == statuses


async def test_one_accounts_hung_hosts_hold_up_no_other_account(tmp_path: Path) -> None:
    """An account that names twenty hosts that hang takes its own share of room, not all."""
    hung = [
        await asyncio.start_server(lambda _reader, _writer: None, f"127.0.0.{n}", 0)
        for n in range(1, 21)
    ]
    asked = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        asked.set()
        return web.Response(body=b"RIFF")

    good = web.Application()
    good.router.add_get("/a.wav", answer)
    runner = web.AppRunner(good, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = GuardedHttp([ipaddress.ip_network("127.0.0.0/8")])
    downloader = AudioDownloader(http, tmp_path, SystemClock())
    waiting = [
        asyncio.ensure_future(downloader.fetch(f"http://{host}:{port}/{n}.wav", "acc_hostile"))
        for host, port in (server.sockets[0].getsockname() for server in hung)
        for n in range(10)
    ]
    await asyncio.sleep(0)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/a.wav"
    async with asyncio.timeout(5):
        await downloader.fetch(url, ACCOUNT)
    assert asked.is_set()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await http.close()
    for server in hung:
        server.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("cache_control", "age", "asked"),
    [
        ("max-age=60", "", [(0, 1), (59, 1), (61, 2)]),
        ("public, max-age=60", "50", [(9, 1), (11, 2)]),
        ('max-age="60"', "", [(59, 1)]),
        ("max-age=99999999", "", [(86_399, 1), (86_401, 2)]),
        ("no-cache, max-age=60", "", [(1, 2)]),
        ("max-age=0", "", [(1, 2)]),
        ("max-age=-5", "", [(1, 2)]),
        ("", "", [(1, 2)]),
    ],
)
async def test_max_age_is_respected(
    downloader: AudioDownloader,
    server: FileServer,
    clock: SetClock,
    cache_control: str,
    age: str,
    asked: list[tuple[int, int]],
) -> None:
    """Within the server's `max-age` a file costs no request, a day at most; then it is asked."""
    server.headers = {"ETag": '"v"', "Cache-Control": cache_control, "Age": age}
    url = f"{server.url}/a.wav"
    await downloader.fetch(url, ACCOUNT)
    for after_s, times in asked:
        clock.now_s = SetClock.now_s + after_s
        await downloader.fetch(url, ACCOUNT)
        assert len(server.statuses) == times, after_s


async def test_a_304_makes_a_file_fresh_again(
    downloader: AudioDownloader, server: FileServer, clock: SetClock
) -> None:
    """What the 200 said of `max-age` counts again from a 304 that does not repeat it."""
    server.headers = {"ETag": '"v"', "Cache-Control": "max-age=60"}
    url = f"{server.url}/a.wav"
    for _ in range(3):
        await downloader.fetch(url, ACCOUNT)
        await downloader.fetch(url, ACCOUNT)
        clock.now_s += 61
    assert server.statuses == [200, 304, 304]


async def test_no_store_is_neither_reused_nor_a_stand_in(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """What must not be stored is downloaded each time, and is gone with its server."""
    server.headers = {"ETag": '"v"', "Cache-Control": "No-Store"}
    url = f"{server.url}/a.wav"
    for _ in range(2):
        await downloader.fetch(url, ACCOUNT)
    assert server.conditions == [(None, None), (None, None)]
    server.status = 503
    assert await failure(downloader, url) == "error_msg_download_failed"


@pytest.mark.parametrize("headers", [{}, {"ETag": '"v"'}])
@pytest.mark.parametrize("trouble", [500, 503, 429, "refused", "hangs"])
async def test_a_copy_stands_in_for_a_server_that_is_down(
    server: FileServer,
    tmp_path: Path,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    trouble: int | str,
) -> None:
    """For a day after its last word; also of a file without a date, and after a restart."""
    monkeypatch.setattr(audio_download, "COPY_TIME_LIMIT_S", 0.1)
    server.headers = headers
    http = GuardedHttp([ipaddress.ip_network("127.0.0.1/32")])
    url = f"{server.url}/a.wav"
    first = await AudioDownloader(http, tmp_path, clock).fetch(url, ACCOUNT)
    again = AudioDownloader(http, tmp_path, clock)
    if isinstance(trouble, int):
        server.status, server.headers = trouble, {}
    elif trouble == "hangs":
        server.gate.clear()
    else:
        await server.stop()
    clock.now_s += 86_399
    assert await again.fetch(url, ACCOUNT) == first
    clock.now_s += 2
    if trouble == "hangs":
        again = AudioDownloader(http, tmp_path, clock, time_limit_s=0.1)
    assert await failure(again, url) == "error_msg_download_failed"
    server.gate.set()
    await http.close()


async def test_a_server_that_is_down_costs_its_time_once(
    downloader: AudioDownloader,
    server: FileServer,
    clock: SetClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty calls after one that waited in vain get the copy without asking; then it is asked."""
    monkeypatch.setattr(audio_download, "COPY_TIME_LIMIT_S", 0.1)
    url = f"{server.url}/a.wav"
    await downloader.fetch(url, ACCOUNT)
    server.gate.clear()
    for _ in range(20):
        await downloader.fetch(url, ACCOUNT)
    assert len(server.conditions) == 2
    server.gate.set()
    server.content = b"new"
    clock.now_s += audio_download.DOWN_S + 1
    assert (await downloader.fetch(url, ACCOUNT)).path.read_bytes() == b"new"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_file_that_its_server_withdrew_is_gone(
    downloader: AudioDownloader, server: FileServer, status: int
) -> None:
    """No is an answer: neither now nor while the server is down later does the copy stand in."""
    url = f"{server.url}/a.wav"
    await downloader.fetch(url, ACCOUNT)
    server.status = status
    assert await failure(downloader, url) == "error_msg_download_failed"
    server.status = 503
    assert await failure(downloader, url) == "error_msg_download_failed"


@pytest.mark.parametrize("header", ["must-revalidate", "no-cache"])
async def test_a_copy_that_must_be_confirmed_stands_in_for_nothing(
    downloader: AudioDownloader, server: FileServer, header: str
) -> None:
    """A server can forbid the copy."""
    server.headers = {"ETag": '"v"', "Cache-Control": header}
    url = f"{server.url}/a.wav"
    await downloader.fetch(url, ACCOUNT)
    server.status, server.headers = 503, {}
    assert await failure(downloader, url) == "error_msg_download_failed"


async def test_no_url_is_on_disk(
    downloader: AudioDownloader, server: FileServer, tmp_path: Path
) -> None:
    """The query of a URL may be a key: nothing in the cache's folder holds it."""
    server.headers = {"ETag": '"v"'}
    await downloader.fetch(f"{server.url}/a.wav?Signature=geheim", ACCOUNT)
    for path in files_in(tmp_path / "cache"):
        assert "geheim" not in path.name
        assert b"geheim" not in path.read_bytes()


@given(header=st.text(max_size=200), age=st.text(max_size=20))
def test_any_header_has_a_meaning(header: str, age: str) -> None:
    """No header makes a file fresh for longer than a day, or breaks the reading of it."""
    read = read_freshness({"Cache-Control": header, "Age": age})
    assert 0 <= read.fresh_s <= 86_400


async def test_what_is_ours_is_copied_once(downloader: AudioDownloader) -> None:
    """A file of our own store is read once, and wrong bytes are not believed."""
    content = b"ID3" + bytes(100)
    sha256 = hashlib.sha256(content).hexdigest()
    reads = 0

    async def read() -> AsyncIterator[bytes]:
        nonlocal reads
        reads += 1
        yield content[:50]
        yield content[50:]

    at_once = [downloader.keep_local(sha256, len(content), read) for _ in range(20)]
    paths = {*await asyncio.gather(*at_once), await downloader.keep_local(sha256, 103, read)}
    assert [path.read_bytes() for path in paths] == [content]
    assert reads == 1
    with pytest.raises(AdapterError, match="not what was stored"):
        await downloader.keep_local("0" * 64, len(content), read)
    with pytest.raises(InvalidRequest, match="error_msg_invalid_file_size"):
        await downloader.keep_local(sha256, MAX_BYTES + 1, read)
