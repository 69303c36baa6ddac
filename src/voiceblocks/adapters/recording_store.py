"""Finished recordings by name: local disk, S3, Google Cloud or Azure, chosen by URL.

All through obstore. Its local store neither syncs files nor folders, so for `file://`
this is done here before `put` returns; and what is on the same disk already is linked
there instead of copied, so that half an hour is stored as soon as half a minute. A cloud
that does not answer fails within seconds: whoever waits for a recording hears it, and what
is to be stored is on local disk meanwhile (`recording_copies`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.interfaces import StoredObject

CHUNK_BYTES = 512 * 1024
"""So much is asked for and handed out at a time: a reader who is slow holds no request open,
which would run into its time limit."""

REQUEST_LIMIT_S = 20
"Of one HTTP request to a cloud; uploads go in parts of 5 MB."
CONNECT_LIMIT_S = 5
_RETRIES = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=REQUEST_LIMIT_S),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}

# No folders, nothing hidden, nothing that a store or a shell reads in its own way.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ENVIRONMENT_PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"Each cloud's scheme, and how its variables begin."

# Our options replace those that obstore reads from the environment, so they are read here.
_ENVIRONMENT_OPTIONS = (
    "allow_http",
    "allow_invalid_certificates",
    "proxy_url",
    "proxy_ca_certificate",
    "proxy_excludes",
)


class ObjectRecordingStore:
    """
    Fulfils `RecordingStore` with any store of obstore's.

    Args:
        store: Already bound to its bucket and prefix.
        durable_folder: For a store on local disk: its folder, synced at each `put`.
    """

    def __init__(self, store: Any, durable_folder: Path | None = None) -> None:
        self._store = store
        self.folder = durable_folder

    async def put(self, name: str, source: Path) -> StoredObject:
        """See `RecordingStore.put`."""
        _check_name(name)
        with _as_store_error(f"{name} cannot be stored"):
            size_bytes = (await asyncio.to_thread(source.stat)).st_size
            folder = self.folder
            if folder is None or not await asyncio.to_thread(_link, source, folder, name):
                await obstore.put_async(self._store, name, source)
            if folder is not None:
                await asyncio.to_thread(_sync, folder, name)
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

    async def sha256(self, name: str) -> str:
        """See `RecordingStore.sha256`."""
        _check_name(name)
        if self.folder is not None:
            # In one go: each way to a thread and back costs more than reading a megabyte.
            with _as_store_error(f"{name} cannot be read"):
                return await asyncio.to_thread(_hash_of, self.folder / name)
        stored = await self.stat(name)
        if stored is None:
            raise StoreError(f"there is no {name}")
        digest = hashlib.sha256()
        async for chunk in self.read(name, 0, stored.size_bytes):
            digest.update(chunk)
        return digest.hexdigest()

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """
        See `RecordingStore.read`.

        Raises:
            StoreError: Also if there is nothing of this name, or it ends before `end`.
        """
        _check_name(name)
        while start < end:
            until = min(start + CHUNK_BYTES, end)
            with _as_store_error(f"{name} cannot be read"):
                chunk = await obstore.get_range_async(self._store, name, start=start, end=until)
            if len(chunk) != until - start:
                raise StoreError(f"{name} ended {end - start - len(chunk)} bytes early")
            start = until
            yield bytes(chunk)

    async def delete(self, name: str) -> None:
        """See `RecordingStore.delete`."""
        _check_name(name)
        with _as_store_error(f"{name} cannot be deleted"), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, name)

    async def sign(self, name: str, method: Literal["GET", "HEAD"], ttl_s: int) -> str:
        """Return the cloud's own link to an object, good for this method and time."""
        _check_name(name)
        with _as_store_error(f"no link to {name} can be made"):
            link: str = await obstore.sign_async(
                self._store, method, name, timedelta(seconds=ttl_s)
            )
        return link


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
        if parts.scheme in _ENVIRONMENT_PREFIXES and parts.netloc:
            options = _client_options(_ENVIRONMENT_PREFIXES[parts.scheme])
            return ObjectRecordingStore(
                from_url(url, client_options=options, retry_config=_RETRIES)  # type: ignore[call-overload]
            )
    except (BaseError, OSError, ValueError) as error:
        # obstore appends pages of debugging to its first line.
        reason = str(error).partition("\n")[0]
        raise StartupError(f"RECORDINGS_URL {url!r} cannot be used: {reason}") from error
    raise StartupError(
        f"RECORDINGS_URL {url!r} is none of file:///folder, s3://bucket/prefix, "
        "gs://bucket/prefix, az://container/prefix"
    )


def is_remote(url: str) -> bool:
    """Whether a `RECORDINGS_URL` names a cloud, which may be away."""
    return urlsplit(url).scheme in _ENVIRONMENT_PREFIXES


def local_folder(url: str) -> Path | None:
    """
    The folder that a `RECORDINGS_URL` names; `None` where it names a cloud.

    Raises:
        StartupError: If it is a `file://` URL without a folder of this machine.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    try:
        return _folder_of(parts)
    except ValueError as error:
        raise StartupError(f"RECORDINGS_URL {url!r} cannot be used: {error}") from error


def _client_options(prefix: str) -> dict[str, str]:
    found = {
        name: os.environ[prefix + name.upper()]
        for name in _ENVIRONMENT_OPTIONS
        if prefix + name.upper() in os.environ
    }
    return {
        **found,
        "timeout": f"{REQUEST_LIMIT_S}s",
        "connect_timeout": f"{CONNECT_LIMIT_S}s",
    }


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


def _link(source: Path, folder: Path, name: str) -> bool:
    """Give a file a second name in the store, in one step; False where that is not possible."""
    staged = folder / f".{name}.new"
    try:
        staged.unlink(missing_ok=True)
        os.link(source, staged)
        staged.replace(folder / name)
    except OSError as error:
        # Another disk, or a file system without links.
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}:
            return False
        raise
    return True


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path, name: str) -> None:
    """Until file and folder are synced, a power cut can take what `put` promised to keep."""
    for path in (folder / name, folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
