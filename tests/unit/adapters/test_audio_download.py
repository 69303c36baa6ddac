"""Downloading custom audio, from a real server on the loopback address."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from voiceblocks.adapters.audio_download import MAX_BYTES, AudioDownloader
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.errors import AdapterError, InvalidRequest

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


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
    yield made
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[GuardedHttp]:
    """A client that may reach the server."""
    made = GuardedHttp([ipaddress.ip_network("127.0.0.1/32")])
    yield made
    await made.close()


@pytest.fixture
def downloader(http: GuardedHttp, tmp_path: Path) -> AudioDownloader:
    """A downloader with an empty cache."""
    return AudioDownloader(http, tmp_path / "cache")


async def failure(downloader: AudioDownloader, url: str) -> str:
    """The status that a fetch fails with."""
    with pytest.raises(InvalidRequest) as caught:
        await downloader.fetch(url)
    return caught.value.status


def files_in(folder: Path) -> list[Path]:
    """All files of a folder."""
    return list(folder.iterdir())


def age(folder: Path) -> None:
    """Make everything a second older, in place of waiting."""
    for path in files_in(folder):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))


async def test_download(downloader: AudioDownloader, server: FileServer) -> None:
    """The file lies on disk as it was served, with its digest."""
    got = await downloader.fetch(f"{server.url}/a.wav")
    assert got.path.read_bytes() == server.content
    assert got.sha256 == hashlib.sha256(server.content).hexdigest()
    assert (got.size_bytes, got.etag, got.last_modified) == (len(server.content), None, None)


async def test_without_a_date_it_is_downloaded_each_time(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """A server that says nothing about changes is believed to change."""
    await downloader.fetch(f"{server.url}/a.wav")
    server.content = b"new"
    assert (await downloader.fetch(f"{server.url}/a.wav")).path.read_bytes() == b"new"
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
    first = await AudioDownloader(http, tmp_path).fetch(url)
    again = AudioDownloader(http, tmp_path)
    assert await again.fetch(url) == first
    assert server.statuses == [200, 304]
    assert server.conditions[1] == (headers.get("ETag"), headers.get("Last-Modified"))
    server.headers = {name: value.replace("1", "2") for name, value in headers.items()}
    server.content = b"changed"
    changed = await again.fetch(url)
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
    first = await downloader.fetch(url)
    if damage == "gone":
        first.path.unlink()
    elif damage == "short":
        first.path.write_bytes(b"x")
    else:
        next((tmp_path / "cache").glob("*.json")).write_bytes(b"{")
    assert (await downloader.fetch(url)).path.read_bytes() == server.content
    assert server.conditions == [(None, None), (None, None)]


async def test_fetches_at_the_same_time_are_one(
    downloader: AudioDownloader, server: FileServer
) -> None:
    """Ten calls that need one file download it once, also when the first call hangs up."""
    server.gate.clear()
    url = f"{server.url}/a.wav"
    tasks = [asyncio.create_task(downloader.fetch(url)) for _ in range(10)]
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
    assert (await downloader.fetch(f"{server.url}/a.wav")).size_bytes == MAX_BYTES
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
    assert (await downloader.fetch(f"{server.url}/redirect/3")).size_bytes == len(server.content)
    assert await failure(downloader, f"{server.url}/redirect/4") == "error_msg_download_failed"


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a.wav", "http://169.254.169.254/a.wav", "ftp://a.example/a.wav", ""]
)
async def test_refused_urls(downloader: AudioDownloader, url: str) -> None:
    """What the guard refuses is an invalid URL."""
    assert await failure(downloader, url) == "error_msg_invalid_url"


async def test_unreachable_and_slow(http: GuardedHttp, server: FileServer, tmp_path: Path) -> None:
    """No connection and no end within the time limit are failed downloads."""
    downloader = AudioDownloader(http, tmp_path, time_limit_s=0.1)
    server.gate.clear()
    assert await failure(downloader, f"{server.url}/a.wav") == "error_msg_download_failed"
    server.gate.set()
    assert await failure(downloader, "http://127.0.0.1:1024/") == "error_msg_download_failed"


async def test_the_cache_is_bounded(http: GuardedHttp, server: FileServer, tmp_path: Path) -> None:
    """What was unused longest goes first; what was just fetched stays."""
    downloader = AudioDownloader(http, tmp_path, cache_max_bytes=2000)
    server.headers = {"ETag": '"v"'}
    kept = []
    for n in range(3):
        server.content = bytes([n]) * 900
        kept.append((await downloader.fetch(f"{server.url}/a.wav?{n}")).path)
        age(tmp_path)
    assert [path.exists() for path in kept] == [False, True, True]
    assert sum(path.suffix == ".json" for path in files_in(tmp_path)) == 2


async def test_a_broken_disk_is_ours(
    downloader: AudioDownloader, server: FileServer, tmp_path: Path
) -> None:
    """A folder that went away is not blamed on the application."""
    (tmp_path / "cache").rmdir()
    with pytest.raises(AdapterError, match="cannot be written"):
        await downloader.fetch(f"{server.url}/a.wav")


async def test_leftovers_of_a_crash_are_removed(http: GuardedHttp, tmp_path: Path) -> None:
    """Half a download of an earlier process does not stay on disk."""
    (tmp_path / "part-x").write_bytes(b"half")
    AudioDownloader(http, tmp_path)
    assert files_in(tmp_path) == []


async def test_a_hung_host_holds_up_nobody_else(server: FileServer, tmp_path: Path) -> None:
    """Forty requests wait for one server; another server's file comes at once."""
    hung = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    hung_url = f"http://127.0.0.1:{hung.sockets[0].getsockname()[1]}"
    http = GuardedHttp([ipaddress.ip_network("127.0.0.0/8")])
    downloader = AudioDownloader(http, tmp_path / "files", time_limit_s=3.0)
    waiting = [
        asyncio.ensure_future(downloader.fetch(f"{hung_url}/{number}.wav")) for number in range(40)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await downloader.fetch(f"{server.url}/a.wav")
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
        fetched = await asyncio.gather(*(downloader.fetch(url) for url in urls))
        assert all(one.path.exists() for one in fetched)
        assert server.statuses == statuses
