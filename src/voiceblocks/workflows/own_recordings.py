"""Custom audio that is a recording of ours: from the store, without HTTP (decision 23)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.clock import Clock
from voiceblocks.database import recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.recordings.interfaces import RecordingStore
from voiceblocks.recordings.link import LinkCheck
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.own_links import read_own_link
from voiceblocks.recordings.state import RecordingState
from voiceblocks.workflows.prepare_prompts import DownloadedAudio
from voiceblocks.workflows.serve_recording import check_link, is_revoked, use_link

REFUSED = "error_msg_download_failed"
"What a link that opens nothing gives over HTTP, too."


class WebAudio(Protocol):
    """Fetches custom audio by HTTP, and keeps files on local disk while they are needed."""

    async def fetch(self, url: str, account_id: str) -> DownloadedAudio:
        """See `AudioSource.fetch`."""
        ...

    async def keep_local(
        self, sha256: str, size_bytes: int, read: Callable[[], AsyncIterator[bytes]]
    ) -> Path:
        """
        Return the path of a content that nobody needs to fetch.

        `read` yields its bytes, and is called only where they are not here yet.

        Raises:
            InvalidRequest: `error_msg_invalid_file_size` if it is larger than any `<url>` may be.
            StoreError: If `read` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class _OwnAudio:
    path: Path
    sha256: str
    object_name: str


@dataclass(frozen=True, slots=True)
class _Found:
    recording: Recording
    account_id: str
    sha256: str
    size_bytes: int


class OwnRecordings:
    """
    Fulfils `AudioSource`: links of ours are opened here, all others by HTTP.

    Args:
        web: Fetches what is not ours; keeps what the store gave.
        database: Knows the recordings.
        store: Has their bytes.
        keys: Current key first, then former ones whose links are still good.
        public_url: What our links begin with; asked for each time.
        purges: Each deletes what was made from a file with this SHA-256.
        clock: For expiry.
    """

    def __init__(
        self,
        web: WebAudio,
        *,
        database: Database,
        store: RecordingStore,
        keys: tuple[SecretKey, ...],
        public_url: Callable[[], str],
        purges: tuple[Callable[[str], None], ...],
        clock: Clock,
    ) -> None:
        self._web = web
        self._database = database
        self._store = store
        self._link_keys: Mapping[str, bytes] = {key.key_id: key.link_key for key in keys}
        self._public_url = public_url
        self._purges = purges
        self._clock = clock

    async def fetch(self, url: str, account_id: str) -> DownloadedAudio:
        """
        See `AudioSource.fetch`.

        Raises:
            InvalidRequest: `error_msg_download_failed` also for a link whose signature is
                wrong, that has expired and is another account's, that was revoked or used
                up, or whose recording is gone.
            StoreError: If our store fails.
        """
        own = read_own_link(url, self._public_url())
        if own is None:
            return await self._web.fetch(url, account_id)
        now_us = self._clock.utc_us()
        checked = check_link(self._link_keys, "GET", own.object_name, own.query, now_us)
        if checked is LinkCheck.WRONG:
            raise InvalidRequest(REFUSED)
        found = await self._database.read(lambda connection: _find(connection, own.object_name))
        if found is None or is_revoked(found.recording, own.query):
            raise InvalidRequest(REFUSED)
        if checked is LinkCheck.EXPIRED and found.account_id != account_id:
            raise InvalidRequest(REFUSED)
        path = await self._web.keep_local(
            found.sha256,
            found.size_bytes,
            lambda: self._store.read(own.object_name, 0, found.size_bytes),
        )
        # After all that may fail, as for a download.
        if not await self._database.run(
            lambda connection: use_link(connection, found.recording, own.query, now_us)
        ):
            raise InvalidRequest(REFUSED)
        return _OwnAudio(path, found.sha256, own.object_name)

    async def confirm(self, audio: DownloadedAudio) -> None:
        """
        See `AudioSource.confirm`.

        Raises:
            InvalidRequest: If the recording was deleted meanwhile; what was made of it is
                deleted once more, since it may have been made after the deletion.
        """
        if not isinstance(audio, _OwnAudio):
            return
        found = await self._database.read(lambda connection: _find(connection, audio.object_name))
        if found is None:
            for purge in self._purges:
                await asyncio.to_thread(purge, audio.sha256)
            raise InvalidRequest(REFUSED)


def _find(connection: Connection, object_name: str) -> _Found | None:
    """The recording, if it can be played."""
    recording = recordings.find_by_object_name(connection, object_name)
    if recording is None or recording.state is not RecordingState.READY:
        return None
    session = sessions.find(connection, recording.session_id)
    if session is None or recording.sha256 is None or recording.size_bytes is None:
        return None
    return _Found(recording, session.account_id, recording.sha256, recording.size_bytes)
