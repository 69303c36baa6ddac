"""A recording's two places: local disk at once, a remote store when that takes it.

A recording is ready when it is on local disk, and served from there until the upload was read
back and found right. So neither a cloud that is away nor a slow one is ever waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from voiceblocks.adapters.recording_store import (
    ObjectRecordingStore,
    is_remote,
    open_recording_store,
)
from voiceblocks.errors import StoreError
from voiceblocks.recordings.interfaces import StoredObject


class LocalAndRemoteCopies:
    """
    Fulfils `RecordingCopies`.

    Args:
        local: On this node's disk.
        folder: Where `local` keeps its files.
        remote: Where recordings belong in the end; `None`: local disk is the end.
    """

    def __init__(
        self, local: ObjectRecordingStore, folder: Path, remote: ObjectRecordingStore | None = None
    ) -> None:
        self._local = local
        self.folder = folder
        self._remote = remote

    async def put(self, name: str, source: Path) -> StoredObject:
        """See `RecordingStore.put`: on local disk."""
        stored = await self._local.put(name, source)
        return replace(stored, awaits_upload=self._remote is not None)

    async def sha256(self, name: str) -> str:
        """See `RecordingStore.sha256`: of the copy on local disk."""
        return await self._local.sha256(name)

    async def stat(self, name: str) -> StoredObject | None:
        """See `RecordingStore.stat`."""
        found = await self._local.stat(name)
        if found is None and self._remote is not None:
            return await self._remote.stat(name)
        return found

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `RecordingStore.read`; goes on remotely where the local copy goes meanwhile."""
        if self._remote is None or await self._local.stat(name) is not None:
            try:
                async for chunk in self._local.read(name, start, end):
                    start += len(chunk)
                    yield chunk
            except StoreError:
                if self._remote is None:
                    raise
        if self._remote is not None:
            async for chunk in self._remote.read(name, start, end):
                yield chunk

    async def delete(self, name: str) -> None:
        """See `RecordingStore.delete`: the local copy goes also while the remote store is away."""
        await self._local.delete(name)
        if self._remote is not None:
            await self._remote.delete(name)

    async def upload(self, name: str, sha256: str) -> None:
        """See `RecordingCopies.upload`."""
        if self._remote is None:
            raise StoreError(f"there is no remote store for {name}: RECORDINGS_URL is local")
        # An earlier attempt may have lost no more than its answer.
        if not await self._is_there(name, sha256):
            await self._remote.put(name, self.folder / name)
            if not await self._is_there(name, sha256):
                raise StoreError(f"{name} was uploaded, but reads back different")

    async def forget_local(self, name: str) -> None:
        """See `RecordingCopies.forget_local`."""
        await self._local.delete(name)

    async def local_names(self) -> list[str]:
        """See `RecordingCopies.local_names`."""
        if self._remote is None:
            return []
        return await asyncio.to_thread(
            lambda: sorted(path.name for path in self.folder.glob("[!.]*"))
        )

    async def remote_link(
        self, name: str, method: Literal["GET", "HEAD"], ttl_s: int
    ) -> str | None:
        """See `RecordingCopies.remote_link`."""
        if self._remote is None or await self._local.stat(name) is not None:
            return None
        return await self._remote.sign(name, method, ttl_s)

    async def _is_there(self, name: str, sha256: str) -> bool:
        assert self._remote is not None
        if await self._remote.stat(name) is None:
            return False
        return await self._remote.sha256(name) == sha256


def open_recording_copies(url: str, local_folder: Path) -> LocalAndRemoteCopies:
    """
    The store for a `RECORDINGS_URL`.

    Args:
        url: As for `open_recording_store`.
        local_folder: Where recordings wait for their upload to a remote store, and where they
            stay that were finished before there was one; made if need be.

    Raises:
        StartupError: If the URL names no store, or a folder cannot be made.
    """
    if not is_remote(url):
        local = open_recording_store(url)
        return LocalAndRemoteCopies(local, local.folder or local_folder)
    remote = open_recording_store(url)
    return LocalAndRemoteCopies(
        open_recording_store(local_folder.as_uri()), local_folder, remote=remote
    )
