"""Finished recordings in a folder, read and written at once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from voiceblocks.adapters.recording_store import ObjectRecordingStore
from voiceblocks.errors import StoreError
from voiceblocks.recordings.interfaces import StoredObject


class FolderStore(ObjectRecordingStore):
    """
    Fulfils `RecordingStore` without obstore, whose threads know no virtual time.

    Args:
        folder: Made if need be.
        utc_us: Now.
    """

    def __init__(self, folder: Path, utc_us: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(None, folder)
        self._at = folder
        self._utc_us = utc_us
        self._stored_us: dict[str, int] = {}

    async def put(self, name: str, source: Path) -> StoredObject:
        """See `RecordingStore.put`."""
        shutil.copyfile(source, self._at / name)
        self._stored_us[name] = self._utc_us()
        stored = await self.stat(name)
        assert stored is not None
        return stored

    async def stat(self, name: str) -> StoredObject | None:
        """See `RecordingStore.stat`."""
        path = self._at / name
        if not path.exists():
            return None
        return StoredObject(path.stat().st_size, self._stored_us.get(name, 0))

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `RecordingStore.read`."""
        path = self._at / name
        if not path.exists():
            raise StoreError(f"{name} cannot be read")
        yield path.read_bytes()[start:end]

    async def delete(self, name: str) -> None:
        """See `RecordingStore.delete`."""
        (self._at / name).unlink(missing_ok=True)
