"""Links to recordings: made for notifications, checked for whoever follows them (decision 7).

A link may be revoked, and may be good once (decision 45). Where the operator wants it, whoever
follows a good link is sent on to the remote store that has the recording.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.clock import Clock
from voiceblocks.database import recordings, used_links
from voiceblocks.database.unit_of_work import Database
from voiceblocks.database.used_links import UsedLink
from voiceblocks.errors import RequestRefused
from voiceblocks.ids import new_link_id
from voiceblocks.recordings import link
from voiceblocks.recordings.interfaces import RecordingCopies, RecordingStore
from voiceblocks.recordings.link import LinkCheck
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState

_REFUSALS = {
    LinkCheck.EXPIRED: "This link has expired; ask who gave it to you for a new one.",
    LinkCheck.WRONG: "This link is not valid.",
}
_REVOKED = "This link was revoked; ask who gave it to you for a new one."
_USED = "This link was good once and has been used; ask who gave it to you for a new one."


def recording_path(object_name: str) -> str:
    """The path that is signed and asked for."""
    return f"/recordings/{object_name}"


def sign_link(
    key: SecretKey,
    public_url: str,
    object_name: str,
    *,
    expires_s: int,
    revision: int = 0,
    once: bool = False,
) -> str:
    """
    Return the full link to a recording.

    Args:
        key: The current one.
        public_url: Base of our addresses.
        object_name: Of the recording.
        expires_s: UTC seconds until which it is good.
        revision: The recording's `link_revision`.
        once: Whether it is good for one download only.
    """
    path = recording_path(object_name)
    query = link.sign(
        key.link_key,
        path,
        expires_s,
        key_id=key.key_id,
        revision=revision,
        once=new_link_id() if once else "",
    )
    return f"{public_url.rstrip('/')}{path}?{query}"


class LinkSigner:
    """
    Makes links of one life.

    Args:
        key: The current one.
        public_url: Asked for the base of our addresses each time.
        ttl_s: How long a link is good.
        clock: For from when.
    """

    def __init__(
        self, key: SecretKey, public_url: Callable[[], str], ttl_s: int, clock: Clock
    ) -> None:
        self._key = key
        self._public_url = public_url
        self._ttl_s = ttl_s
        self._clock = clock

    def __call__(self, object_name: str, revision: int = 0) -> str:
        """Return a link to a recording whose links were revoked `revision` times."""
        return self.with_base(self._public_url(), object_name, revision)

    def with_base(self, public_url: str, object_name: str, revision: int) -> str:
        """Return a link below another of our addresses."""
        expires_s = self._clock.utc_us() // 1_000_000 + self._ttl_s
        return sign_link(self._key, public_url, object_name, expires_s=expires_s, revision=revision)


def check_link(
    link_keys: Mapping[str, bytes],
    method: str,
    object_name: str,
    query: Mapping[str, str],
    now_us: int,
) -> LinkCheck:
    """Say what the signature of a link to a recording is worth; see `link.check`."""
    return link.check(
        link_keys,
        method,
        recording_path(object_name),
        query.get("Expires", ""),
        query.get("KeyId", ""),
        query.get("Signature", ""),
        now_us / 1e6,
        revision=query.get("Revision", ""),
        once=query.get("Once", ""),
    )


def is_revoked(recording: Recording, query: Mapping[str, str]) -> bool:
    """Whether a link with a good signature was revoked since."""
    return int(query.get("Revision") or "0") != recording.link_revision


def use_link(
    connection: Connection, recording: Recording, query: Mapping[str, str], now_us: int
) -> bool:
    """Use up a link with a good signature; `False` if it was good once, and has been used."""
    once = query.get("Once", "")
    if not once:
        return True
    return used_links.use(
        connection,
        UsedLink(
            id=once, recording_id=recording.id, used_us=now_us, expires_s=int(query["Expires"])
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRecording:
    """A recording that may be read."""

    name: str
    size_bytes: int
    last_modified_us: int
    sha256: str | None
    is_once: bool
    "Whether its link is used up with this."
    redirect_url: str | None
    "Where the remote store serves it, if whoever asks is to be sent there."
    store: RecordingStore

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes `start` to `end` (exclusive)."""
        return self.store.read(self.name, start, end)


class ServeRecording:
    """
    Opens recordings for who has a signed link; fulfils `api.handlers.RecordingSource`.

    Args:
        database: Knows which recordings are ready.
        store: Has their bytes.
        keys: Current key first, then former ones whose links are still good.
        clock: For expiry.
        redirect_s: For so long the remote store's own links are good, to which readers are
            sent; 0 serves everything from here.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: RecordingCopies,
        keys: tuple[SecretKey, ...],
        clock: Clock,
        redirect_s: int = 0,
    ) -> None:
        self._database = database
        self._store = store
        self._link_keys = {key.key_id: key.link_key for key in keys}
        self._clock = clock
        self._redirect_s = redirect_s

    async def open(
        self, name: str, method: str, query: Mapping[str, str]
    ) -> ServedRecording | None:
        """
        Check the link, then look for the recording. A GET uses up a link that is good once.

        Raises:
            RequestRefused: If the link is wrong, expired, revoked or used up; only who has a
                link that we made hears anything about the recording.
        """
        now_us = self._clock.utc_us()
        checked = check_link(self._link_keys, method, name, query, now_us)
        if checked is not LinkCheck.OK:
            raise RequestRefused(_REFUSALS[checked])
        recording = await self._database.read(
            lambda connection: recordings.find_by_object_name(connection, name)
        )
        if recording is None or recording.state is not RecordingState.READY:
            return None
        if is_revoked(recording, query):
            raise RequestRefused(_REVOKED)
        stored = await self._store.stat(name)
        if stored is None:
            return None
        once = query.get("Once", "")
        # After all that may fail: a link is not used up by a store that is away.
        if once and not await self._is_good_still(recording, method, query, now_us):
            raise RequestRefused(_USED)
        return ServedRecording(
            name=name,
            size_bytes=stored.size_bytes,
            last_modified_us=recording.ready_us or stored.last_modified_us,
            sha256=recording.sha256,
            is_once=bool(once),
            redirect_url=None if once else await self._remote_link(name, method),
            store=self._store,
        )

    async def _is_good_still(
        self, recording: Recording, method: str, query: Mapping[str, str], now_us: int
    ) -> bool:
        """Use up a link that is good once; who only asks about the file uses nothing."""
        if method == "GET":
            return await self._database.run(
                lambda connection: use_link(connection, recording, query, now_us)
            )
        return not await self._database.read(
            lambda connection: used_links.is_used(connection, query["Once"])
        )

    async def _remote_link(self, name: str, method: str) -> str | None:
        if not self._redirect_s:
            return None
        # The signature is of one method.
        return await self._store.remote_link(
            name, "HEAD" if method == "HEAD" else "GET", self._redirect_s
        )
