"""Links to recordings: made for notifications, checked for whoever follows them (decision 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.clock import Clock
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import RequestRefused
from voiceblocks.recordings import link
from voiceblocks.recordings.interfaces import RecordingStore
from voiceblocks.recordings.link import LinkCheck
from voiceblocks.recordings.state import RecordingState

_REFUSALS = {
    LinkCheck.EXPIRED: "This link has expired; ask who gave it to you for a new one.",
    LinkCheck.WRONG: "This link is not valid.",
}


def recording_path(object_name: str) -> str:
    """The path that is signed and asked for."""
    return f"/recordings/{object_name}"


def sign_link(key: SecretKey, public_url: str, object_name: str, *, expires_s: int) -> str:
    """Return the full link to a recording that is good until `expires_s` (UTC seconds)."""
    path = recording_path(object_name)
    query = link.sign(key.link_key, path, expires_s, key_id=key.key_id)
    return f"{public_url.rstrip('/')}{path}?{query}"


def check_link(
    link_keys: Mapping[str, bytes],
    method: str,
    object_name: str,
    query: Mapping[str, str],
    now_us: int,
) -> LinkCheck:
    """Say what a link to a recording is worth, however it is followed; see `link.check`."""
    return link.check(
        link_keys,
        method,
        recording_path(object_name),
        query.get("Expires", ""),
        query.get("KeyId", ""),
        query.get("Signature", ""),
        now_us / 1e6,
    )


def link_signer(
    key: SecretKey, public_url: Callable[[], str], ttl_s: int, clock: Clock
) -> Callable[[str], str]:
    """Return a function that makes links of one life; the base is asked for each time."""

    def sign(object_name: str) -> str:
        expires_s = clock.utc_us() // 1_000_000 + ttl_s
        return sign_link(key, public_url(), object_name, expires_s=expires_s)

    return sign


@dataclass(frozen=True, slots=True)
class ServedRecording:
    """A recording that may be read."""

    object_name: str
    size_bytes: int
    last_modified_us: int
    sha256: str | None
    store: RecordingStore

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes `start` to `end` (exclusive)."""
        return self.store.read(self.object_name, start, end)


class ServeRecording:
    """
    Opens recordings for who has a signed link; fulfils `api.handlers.RecordingSource`.

    Args:
        database: Knows which recordings are ready.
        store: Has their bytes.
        keys: Current key first, then former ones whose links are still good.
        clock: For expiry.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: RecordingStore,
        keys: tuple[SecretKey, ...],
        clock: Clock,
    ) -> None:
        self._database = database
        self._store = store
        self._link_keys = {key.key_id: key.link_key for key in keys}
        self._clock = clock

    async def open(
        self, name: str, method: str, query: Mapping[str, str]
    ) -> ServedRecording | None:
        """
        Check the link, then look for the recording.

        Raises:
            RequestRefused: If the link is wrong or expired; says nothing about the recording.
        """
        checked = check_link(self._link_keys, method, name, query, self._clock.utc_us())
        if checked is not LinkCheck.OK:
            raise RequestRefused(_REFUSALS[checked])
        recording = await self._database.run(
            lambda connection: recordings.find_by_object_name(connection, name)
        )
        if recording is None or recording.state is not RecordingState.READY:
            return None
        stored = await self._store.stat(name)
        if stored is None:
            return None
        return ServedRecording(
            object_name=name,
            size_bytes=stored.size_bytes,
            last_modified_us=recording.ready_us or stored.last_modified_us,
            sha256=recording.sha256,
            store=self._store,
        )
