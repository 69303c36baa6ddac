"""Fetches the custom audio of `<url>` parts, and keeps it while its server lets us.

A file with `Last-Modified` or `ETag` is kept on disk and asked for again conditionally:
an unchanged one costs one round trip (304), as the original API documents. One without
is downloaded each time. Nothing here looks into the audio.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from voiceblocks.adapters.address_guard import (
    OutgoingHttpError,
    TargetRefused,
    read_target,
)
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.errors import AdapterError, InvalidRequest

MAX_BYTES = 10 * 1024 * 1024
TIME_LIMIT_S = 30.0
CACHE_MAX_BYTES = 1024 * 1024 * 1024
PARALLEL = 128
PARALLEL_PER_HOST = 8
"A host that hangs holds up nobody but those who wait for it."
_CHUNK_BYTES = 256 * 1024
_OK, _NOT_MODIFIED = 200, 304
_CONTENT_SUFFIX = ".audio"

INVALID_URL = "error_msg_invalid_url"
FAILED = "error_msg_download_failed"
TOO_LARGE = "error_msg_invalid_file_size"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file on local disk. It may be replaced or evicted after a while, never changed."""

    path: Path
    size_bytes: int
    sha256: str
    "Of the content: what a rendered form can be cached by."
    etag: str | None
    last_modified: str | None
    "As its server wrote it."


class _Entry(msgspec.Struct, frozen=True):
    """What is kept beside a file."""

    url: str
    sha256: str
    size_bytes: int
    etag: str | None
    last_modified: str | None


class _Room:
    """How many may fetch from one host, and how many do or wait."""

    def __init__(self) -> None:
        self.semaphore = asyncio.Semaphore(PARALLEL_PER_HOST)
        self.users = 0


class AudioDownloader:
    """
    Downloads files into a folder of its own. Belongs to one event loop.

    Args:
        http: Reaches only what the guard allows.
        folder: Cache; made when missing, private to the process's user.
        time_limit_s: For a whole download, redirects included.
        cache_max_bytes: What was unused longest goes when there is more.
    """

    def __init__(
        self,
        http: GuardedHttp,
        folder: Path,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        cache_max_bytes: int = CACHE_MAX_BYTES,
    ) -> None:
        self._http = http
        self._folder = folder
        self._time_limit_s = time_limit_s
        self._cache_max_bytes = cache_max_bytes
        self._running: dict[str, asyncio.Task[Downloaded]] = {}
        self._room = asyncio.Semaphore(PARALLEL)
        self._room_of_host: dict[str, _Room] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob("part-*"):
            left.unlink(missing_ok=True)

    async def fetch(self, url: str) -> Downloaded:
        """
        Return the present content of `url`; fetches of one URL at a time share a download.

        Raises:
            InvalidRequest: With `error_msg_invalid_url` (the guard refuses it),
                `error_msg_invalid_file_size` (over 10 MB) or `error_msg_download_failed`.
            AdapterError: If our own disk fails.
        """
        task = self._running.get(url)
        if task is None:
            task = asyncio.create_task(self._fetch(url))
            self._running[url] = task
            task.add_done_callback(lambda _: self._running.pop(url, None))
        return await asyncio.shield(task)

    async def _fetch(self, url: str) -> Downloaded:
        key = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        try:
            # Waiting for room is waiting, too: it counts for whoever asked.
            async with asyncio.timeout(self._time_limit_s), self._room_for(url), self._room:
                return await self._fetch_now(key, url)
        except TimeoutError as error:
            raise InvalidRequest(FAILED) from error

    @contextlib.asynccontextmanager
    async def _room_for(self, url: str) -> AsyncIterator[None]:
        try:
            host = read_target(url).origin
        except TargetRefused as error:
            raise InvalidRequest(INVALID_URL) from error
        room = self._room_of_host.setdefault(host, _Room())
        room.users += 1
        try:
            async with room.semaphore:
                yield
        finally:
            room.users -= 1
            if not room.users:
                del self._room_of_host[host]

    async def _fetch_now(self, key: str, url: str) -> Downloaded:
        kept = await asyncio.to_thread(self._read_entry, key, url)
        try:
            async with self._http.get(url, _conditions(kept), self._time_limit_s) as response:
                if response.status == _NOT_MODIFIED and kept is not None:
                    return self._downloaded(kept)
                return await self._keep(key, url, response)
        except TargetRefused as error:
            raise InvalidRequest(INVALID_URL) from error
        except OutgoingHttpError as error:
            raise InvalidRequest(FAILED) from error
        except OSError as error:
            raise AdapterError("a downloaded file cannot be written") from error

    async def _keep(self, key: str, url: str, response: aiohttp.ClientResponse) -> Downloaded:
        encoding = response.headers.get("Content-Encoding", "identity")
        if response.status != _OK or encoding.lower() != "identity":
            raise InvalidRequest(FAILED)
        if response.content_length is not None and response.content_length > MAX_BYTES:
            raise InvalidRequest(TOO_LARGE)
        handle, name = tempfile.mkstemp(prefix="part-", dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                sha256 = hashlib.sha256()
                size_bytes = 0
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    size_bytes += len(chunk)
                    if size_bytes > MAX_BYTES:
                        raise InvalidRequest(TOO_LARGE)
                    sha256.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            entry = _Entry(
                url=url,
                sha256=sha256.hexdigest(),
                size_bytes=size_bytes,
                etag=response.headers.get("ETag"),
                last_modified=response.headers.get("Last-Modified"),
            )
            await asyncio.to_thread(self._store, key, entry, Path(name))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise
        return self._downloaded(entry)

    def _downloaded(self, entry: _Entry) -> Downloaded:
        return Downloaded(
            path=self._path_of(entry.sha256),
            size_bytes=entry.size_bytes,
            sha256=entry.sha256,
            etag=entry.etag,
            last_modified=entry.last_modified,
        )

    def _path_of(self, sha256: str) -> Path:
        return self._folder / f"{sha256}{_CONTENT_SUFFIX}"

    # In threads: the disk may be slow.

    def _read_entry(self, key: str, url: str) -> _Entry | None:
        """Return what is kept for `url`, if it can be asked for conditionally."""
        path = self._folder / f"{key}.json"
        try:
            entry = msgspec.json.decode(path.read_bytes(), type=_Entry)
            content = self._path_of(entry.sha256)
            if content.stat().st_size != entry.size_bytes or entry.url != url:
                return None
            # Used now: evicted last. The entry after its content, as when both are written.
            os.utime(content)
            os.utime(path)
        except (OSError, msgspec.DecodeError):
            return None
        return entry if entry.etag or entry.last_modified else None

    def _store(self, key: str, entry: _Entry, part: Path) -> None:
        part.replace(self._path_of(entry.sha256))
        if entry.etag or entry.last_modified:
            beside = part.with_suffix(".new")
            beside.write_bytes(msgspec.json.encode(entry))
            beside.replace(self._folder / f"{key}.json")
        self._evict(keep=self._path_of(entry.sha256))

    def _evict(self, keep: Path) -> None:
        """Delete the contents that were unused longest, until the rest fits."""
        files = _by_age(self._folder.glob(f"*{_CONTENT_SUFFIX}"))
        total_bytes = sum(stat.st_size for stat, _ in files)
        evicted = set()
        while files and total_bytes > self._cache_max_bytes and files[0][1] != keep:
            stat, path = files.pop(0)
            path.unlink(missing_ok=True)
            total_bytes -= stat.st_size
            evicted.add(path.stem)
        for entry in self._folder.glob("*.json") if evicted else ():
            # Several URLs may have had the same content.
            with contextlib.suppress(OSError, msgspec.DecodeError):
                if msgspec.json.decode(entry.read_bytes(), type=_Entry).sha256 in evicted:
                    entry.unlink(missing_ok=True)


def _by_age(paths: Iterable[Path]) -> list[tuple[os.stat_result, Path]]:
    """The files that are there, oldest first; another thread may delete some meanwhile."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat(), path))
    found.sort(key=lambda item: item[0].st_mtime_ns)
    return found


def purge(folder: Path, sha256: str) -> None:
    """Delete a downloaded content from a cache's folder, also while a server uses that."""
    (folder / f"{sha256}{_CONTENT_SUFFIX}").unlink(missing_ok=True)


def _conditions(kept: _Entry | None) -> dict[str, str]:
    if kept is None:
        return {}
    headers = {}
    if kept.etag:
        headers["If-None-Match"] = kept.etag
    if kept.last_modified:
        headers["If-Modified-Since"] = kept.last_modified
    return headers
