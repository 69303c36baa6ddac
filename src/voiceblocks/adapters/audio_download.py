"""Fetches the custom audio of `<url>` parts, and keeps it while its server lets us.

A file is asked for again conditionally: an unchanged one costs one round trip (304), as the
original API documents; none while the server's `max-age` lasts. While a server is down, the
copy that it last confirmed stands in for a day (decision 43). Nothing here looks into the
audio.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from voiceblocks.adapters.address_guard import (
    OutgoingHttpError,
    TargetRefused,
    TimedOut,
    read_target,
)
from voiceblocks.adapters.cache_folder import CacheLimits
from voiceblocks.adapters.download_cache import DownloadCache, Entry
from voiceblocks.adapters.download_freshness import Freshness, read_freshness
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.clock import Clock
from voiceblocks.errors import AdapterError, InvalidRequest
from voiceblocks.stories.asked import note_cached

MAX_BYTES = 10 * 1024 * 1024
TIME_LIMIT_S = 30.0
COPY_TIME_LIMIT_S = 5.0
"To the answer's header, where a copy can stand in."
COPY_LIFE_S = 86_400
"How long after its server's last word a copy may stand in for it."
DOWN_S = 10.0
"For so long a server that could not be reached is not asked again, where there is a copy."
PARALLEL = 128
PARALLEL_PER_ACCOUNT = 32
PARALLEL_PER_HOST = 8
"Of one account: hosts that hang hold up only the account that names them, and one only itself."
DOWN_MAX = 1024
DEFAULT_LIMITS = CacheLimits(max_bytes=1 << 30)
_CHUNK_BYTES = 256 * 1024
_OK, _NOT_MODIFIED = 200, 304
# Answers of a server that is overloaded or being restarted, not about the file.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})

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


class _NotAnsweredError(Exception):
    """The server cannot say now what the file is."""


class _Rooms:
    """So many at a time for each key, in memory only while somebody is there or waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rooms: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @contextlib.asynccontextmanager
    async def enter(self, key: str) -> AsyncIterator[None]:
        semaphore, users = self._rooms.get(key) or (asyncio.Semaphore(self._size), 0)
        self._rooms[key] = semaphore, users + 1
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._rooms.pop(key)
            if users > 1:
                self._rooms[key] = semaphore, users - 1


class AudioDownloader:
    """
    Downloads files into a folder of its own. Belongs to one event loop.

    Args:
        http: Reaches only what the guard allows.
        folder: Cache; made when missing, private to the process's user.
        clock: For the age of what is kept.
        time_limit_s: For a whole download, redirects included.
        limits: Of the cache.
    """

    def __init__(
        self,
        http: GuardedHttp,
        folder: Path,
        clock: Clock,
        *,
        time_limit_s: float = TIME_LIMIT_S,
        limits: CacheLimits = DEFAULT_LIMITS,
    ) -> None:
        self._http = http
        self._cache = DownloadCache(folder, limits)
        self._clock = clock
        self._time_limit_s = time_limit_s
        self._running: dict[str, asyncio.Task[Downloaded]] = {}
        self._room = asyncio.Semaphore(PARALLEL)
        self._rooms_of_accounts = _Rooms(PARALLEL_PER_ACCOUNT)
        self._rooms_of_hosts = _Rooms(PARALLEL_PER_HOST)
        self._down_until_s: dict[str, float] = {}

    async def fetch(self, url: str, account_id: str) -> Downloaded:
        """
        Return the present content of `url`; fetches of one URL at a time share a download.

        Raises:
            InvalidRequest: With `error_msg_invalid_url` (the guard refuses it),
                `error_msg_invalid_file_size` (over 10 MB) or `error_msg_download_failed`.
            AdapterError: If our own disk fails.
        """
        return await self._shared(url, lambda: self._fetch(url, account_id))

    async def keep_local(
        self, sha256: str, size_bytes: int, read: Callable[[], AsyncIterator[bytes]]
    ) -> Path:
        """
        Keep a file that is ours, fetched by nobody, among the others.

        Args:
            sha256: Of the content, as hex.
            size_bytes: Of the content.
            read: Yields its bytes; called only where it is not here yet.

        Raises:
            InvalidRequest: `error_msg_invalid_file_size` if it is over 10 MB.
            StoreError: If `read` does.
            AdapterError: If our own disk fails, or the bytes are not those of `sha256`.
        """
        if size_bytes > MAX_BYTES:
            raise InvalidRequest(TOO_LARGE)
        if await asyncio.to_thread(self._cache.has, sha256, size_bytes):
            return self._cache.path_of(sha256)

        async def copy() -> Downloaded:
            with _disk_errors():
                copied = await self._write(read())
            if copied.sha256 != sha256:
                raise AdapterError("a stored recording is not what was stored")
            return copied

        return (await self._shared(f"local:{sha256}", copy)).path

    async def _shared(
        self, key: str, work: Callable[[], Coroutine[Any, Any, Downloaded]]
    ) -> Downloaded:
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget_running(key, done))
        # Whoever asked first may go away without taking the file from the others.
        return await asyncio.shield(task)

    def _forget_running(self, key: str, done: asyncio.Task[Downloaded]) -> None:
        del self._running[key]
        if not done.cancelled():
            # Looked at, so that asyncio does not complain where everybody went away.
            done.exception()

    async def _fetch(self, url: str, account_id: str) -> Downloaded:
        try:
            host = read_target(url).origin
        except TargetRefused as error:
            raise InvalidRequest(INVALID_URL) from error
        kept = await asyncio.to_thread(self._cache.find, url)
        age_s = _age_s(kept, self._clock.utc_us())
        if kept is not None and age_s < kept.fresh_s:
            note_cached()
            return self._downloaded(kept)
        copy = kept if kept is not None and _may_stand_in(kept, age_s) else None
        if copy is not None and self._is_down(host):
            return self._downloaded(copy)
        try:
            with _disk_errors():
                return await self._ask_in_time(url, host, account_id, kept, copy)
        except TargetRefused as error:
            raise InvalidRequest(INVALID_URL) from error
        except (OutgoingHttpError, _NotAnsweredError) as error:
            if isinstance(error, OutgoingHttpError):
                self._note_down(host)
            if copy is None:
                raise InvalidRequest(FAILED) from error
            return self._downloaded(copy)

    async def _ask_in_time(
        self, url: str, host: str, account_id: str, kept: Entry | None, copy: Entry | None
    ) -> Downloaded:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._time_limit_s
        header_until_s = until_s if copy is None else loop.time() + COPY_TIME_LIMIT_S
        try:
            # Waiting for room is waiting, too: it counts for whoever asked.
            async with (
                asyncio.timeout_at(min(until_s, header_until_s)) as limit,
                self._rooms_of_hosts.enter(f"{account_id} {host}"),
                self._rooms_of_accounts.enter(account_id),
                self._room,
                self._http.get(url, _conditions(kept), self._time_limit_s) as response,
            ):
                limit.reschedule(until_s)
                return await self._read_answer(url, kept, response)
        except TimeoutError as error:
            raise TimedOut("no file in time") from error

    async def _read_answer(
        self, url: str, kept: Entry | None, response: aiohttp.ClientResponse
    ) -> Downloaded:
        if response.status == _NOT_MODIFIED and kept is not None and _conditions(kept):
            return await self._remember(url, response, kept)
        if response.status in _TRANSIENT:
            raise _NotAnsweredError(f"status {response.status}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if response.status != _OK or encoding.lower() != "identity":
            # The server's word about the file: a copy of what it had must not stand in.
            await asyncio.to_thread(self._cache.forget, url)
            raise InvalidRequest(FAILED)
        if response.content_length is not None and response.content_length > MAX_BYTES:
            raise InvalidRequest(TOO_LARGE)
        got = await self._write(response.content.iter_chunked(_CHUNK_BYTES))
        entry = Entry(
            sha256=got.sha256,
            size_bytes=got.size_bytes,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
        )
        return await self._remember(url, response, entry)

    async def _remember(
        self, url: str, response: aiohttp.ClientResponse, entry: Entry
    ) -> Downloaded:
        """Note that `entry` is what the server has now, unless it forbids that."""
        freshness = Freshness(
            may_keep=True, fresh_s=entry.fresh_s, may_outlive_failure=entry.may_outlive_failure
        )
        # A 304 need not repeat what the 200 said.
        if response.status == _OK or "Cache-Control" in response.headers:
            freshness = read_freshness(response.headers)
        if freshness.may_keep:
            entry = msgspec.structs.replace(
                entry,
                checked_us=self._clock.utc_us(),
                fresh_s=freshness.fresh_s,
                may_outlive_failure=freshness.may_outlive_failure,
            )
            await asyncio.to_thread(self._cache.remember, url, entry)
        else:
            await asyncio.to_thread(self._cache.forget, url)
        return self._downloaded(entry)

    async def _write(self, chunks: AsyncIterator[bytes]) -> Downloaded:
        """Write a content to disk, as far as it is not too large."""
        handle, part = self._cache.begin()
        try:
            with os.fdopen(handle, "wb") as file:
                digest = hashlib.sha256()
                size_bytes = 0
                async for chunk in chunks:
                    size_bytes += len(chunk)
                    if size_bytes > MAX_BYTES:
                        raise InvalidRequest(TOO_LARGE)
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            sha256 = digest.hexdigest()
            path = await asyncio.to_thread(self._cache.keep, part, sha256)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return Downloaded(path, size_bytes, sha256, None, None)

    def _downloaded(self, entry: Entry) -> Downloaded:
        return Downloaded(
            path=self._cache.path_of(entry.sha256),
            size_bytes=entry.size_bytes,
            sha256=entry.sha256,
            etag=entry.etag,
            last_modified=entry.last_modified,
        )

    def _is_down(self, host: str) -> bool:
        return self._down_until_s.get(host, 0.0) > self._clock.monotonic()

    def _note_down(self, host: str) -> None:
        now = self._clock.monotonic()
        if len(self._down_until_s) >= DOWN_MAX:
            self._down_until_s = {k: v for k, v in self._down_until_s.items() if v > now}
        self._down_until_s[host] = now + DOWN_S


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AdapterError("a downloaded file cannot be written") from error


def _age_s(kept: Entry | None, now_us: int) -> float:
    """Since its server's last word; a clock that was set back makes it old, not young."""
    if kept is None or now_us < kept.checked_us:
        return math.inf
    return (now_us - kept.checked_us) / 1e6


def _may_stand_in(kept: Entry, age_s: float) -> bool:
    return kept.may_outlive_failure and age_s < COPY_LIFE_S


def _conditions(kept: Entry | None) -> dict[str, str]:
    if kept is None:
        return {}
    headers = {}
    if kept.etag:
        headers["If-None-Match"] = kept.etag
    if kept.last_modified:
        headers["If-Modified-Since"] = kept.last_modified
    return headers
