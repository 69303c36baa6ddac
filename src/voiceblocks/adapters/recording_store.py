"""Finished recordings by name: local disk, S3, Google Cloud or Azure, chosen by URL.

All through obstore. Its local store neither syncs files nor folders, so for `file://`
this is done here before `put` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.interfaces import StoredObject

CHUNK_BYTES = 256 * 1024
"At least so much, except at the end, is handed out at a time."

# No folders, nothing hidden, nothing that a store or a shell reads in its own way.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_CLOUD_SCHEMES = frozenset({"s3", "gs", "az"})


class ObjectRecordingStore:
    """
    Fulfils `RecordingStore` with any store of obstore's.

    Args:
        store: Already bound to its bucket and prefix.
        durable_folder: For a store on local disk: its folder, synced at each `put`.
    """

    def __init__(self, store: Any, durable_folder: Path | None = None) -> None:
        self._store = store
        self._durable_folder = durable_folder

    async def put(self, name: str, source: Path) -> StoredObject:
        """See `RecordingStore.put`."""
        _check_name(name)
        with _as_store_error(f"{name} cannot be stored"):
            size_bytes = (await asyncio.to_thread(source.stat)).st_size
            await obstore.put_async(self._store, name, source)
            if self._durable_folder is not None:
                await asyncio.to_thread(_sync, self._durable_folder, name)
            stored = await self.stat(name)
        if stored is None or stored.size_bytes != size_bytes:
            raise StoreError(f"{name} is not what was stored")
        return stored

    async def stat(self, name: str) -> StoredObject | None:
        """See `RecordingStore.stat`."""
        _check_name(name)
        with _as_store_error(f"{name} cannot be looked up"):
            try:
                meta = await obstore.head_async(self._store, name)
            except FileNotFoundError:
                return None
        modified_us = round(meta["last_modified"].timestamp() * 1_000_000)
        return StoredObject(size_bytes=meta["size"], last_modified_us=modified_us)

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """
        See `RecordingStore.read`.

        Raises:
            StoreError: Also if there is nothing of this name, or it ends before `end`.
        """
        _check_name(name)
        if start >= end:
            return
        with _as_store_error(f"{name} cannot be read"):
            result = await obstore.get_async(self._store, name, options={"range": (start, end)})
            missing = end - start
            async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                missing -= len(chunk)
                yield bytes(chunk)
            if missing:
                raise StoreError(f"{name} ended {missing} bytes early")

    async def delete(self, name: str) -> None:
        """See `RecordingStore.delete`."""
        _check_name(name)
        with _as_store_error(f"{name} cannot be deleted"), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, name)


def open_recording_store(url: str) -> ObjectRecordingStore:
    """
    The store for a `RECORDINGS_URL`.

    Args:
        url: `file:///dir` (made if need be), `s3://bucket/prefix`, `gs://…` or `az://…`.
            Credentials come from the environment, as each cloud's own tools read them.

    Raises:
        StartupError: If the URL names no store, or the folder cannot be made.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            folder = _folder_of(parts)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ObjectRecordingStore(LocalStore(folder), durable_folder=folder)
        if parts.scheme in _CLOUD_SCHEMES and parts.netloc:
            return ObjectRecordingStore(from_url(url))
    except (BaseError, OSError, ValueError) as error:
        # obstore appends pages of debugging to its first line.
        reason = str(error).partition("\n")[0]
        raise StartupError(f"RECORDINGS_URL {url!r} cannot be used: {reason}") from error
    raise StartupError(
        f"RECORDINGS_URL {url!r} is none of file:///folder, s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix"
    )


def _folder_of(parts: SplitResult) -> Path:
    # file://./var and file://../var come from a relative DATA_DIR.
    relative = parts.netloc if parts.netloc in (".", "..") else ""
    if parts.netloc not in ("", "localhost", relative) or parts.path in ("", "/"):
        raise ValueError("it names no folder of this machine")
    return Path(unquote(relative + parts.path)).absolute()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StoreError(f"{name!r} is no name of a recording")


@contextlib.contextmanager
def _as_store_error(what: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(what) from error


def _sync(folder: Path, name: str) -> None:
    """Until file and folder are synced, a power cut can take what `put` promised to keep."""
    for path in (folder / name, folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
