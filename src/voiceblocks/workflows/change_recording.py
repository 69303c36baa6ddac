"""An application asks how its recording is, gets a new link, kills the old ones, or deletes it."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from voiceblocks.accounts.model import Application
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.blocks.delete_recording import DeleteRecordingCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand
from voiceblocks.clock import Clock
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.recording_words import health_words
from voiceblocks.recordings.act import Doer
from voiceblocks.recordings.errors import RecordingAccessDenied, UnknownRecording
from voiceblocks.workflows.delete_recording import mark_deleted
from voiceblocks.workflows.manage_recordings import require_ready, revoke_links
from voiceblocks.workflows.serve_recording import sign_link


class ChangeRecording:
    """
    Fulfils what the HTTP front needs for `recording/…`.

    Args:
        database: The node's database.
        key: Signs links.
        public_url: Base of our addresses; asked for each time.
        ttl_s: Life of a link, unless the application says otherwise.
        clock: For expiry.
    """

    def __init__(
        self,
        *,
        database: Database,
        key: SecretKey,
        public_url: Callable[[], str],
        ttl_s: int,
        clock: Clock,
    ) -> None:
        self._database = database
        self._key = key
        self._public_url = public_url
        self._ttl_s = ttl_s
        self._clock = clock

    async def delete(self, app: Application, command: DeleteRecordingCommand) -> dict[str, str]:
        """
        Delete a recording; one that is deleted already stays so.

        Raises:
            UnknownRecording, RecordingAccessDenied, RecordingNotReady, RecordingOnHold: As
                they say.
        """

        def write(connection: Connection) -> None:
            _require_own(connection, app, command.recording)
            mark_deleted(connection, command.recording, self._doer(app, command.reason))

        await self._database.run(write)
        return {}

    async def revoke(self, app: Application, command: RevokeLinksCommand) -> dict[str, str]:
        """
        Kill all links that were handed out.

        Raises:
            UnknownRecording, RecordingAccessDenied, RecordingNotReady: As they say.
        """

        def write(connection: Connection) -> None:
            _require_own(connection, app, command.recording)
            revoke_links(connection, command.recording, self._doer(app, command.reason))

        await self._database.run(write)
        return {}

    async def health(self, app: Application, command: RecordingHealthCommand) -> dict[str, str]:
        """
        Say how well a recording came in.

        Returns:
            See `recording_words.health_words`; without what is not known of it.

        Raises:
            UnknownRecording, RecordingAccessDenied, RecordingNotReady: As they say.
        """

        def read(connection: Connection) -> dict[str, str]:
            _require_own(connection, app, command.recording)
            return dict(health_words(require_ready(connection, command.recording)))

        return await self._database.read(read)

    async def link(self, app: Application, command: RenewLinkCommand) -> dict[str, str]:
        """
        Make a new link; those before it stay good.

        Returns:
            `record_url`.

        Raises:
            UnknownRecording, RecordingAccessDenied, RecordingNotReady: As they say.
        """

        def write(connection: Connection) -> str:
            _require_own(connection, app, command.recording)
            recording = require_ready(connection, command.recording)
            return sign_link(
                self._key,
                self._public_url(),
                recording.object_name,
                expires_s=self._clock.utc_us() // 1_000_000 + (command.ttl_s or self._ttl_s),
                revision=recording.link_revision,
                once=command.once,
            )

        return {"record_url": await self._database.run(write)}

    def _doer(self, app: Application, reason: str) -> Doer:
        return Doer(f"application {app.id}", reason, self._clock.utc_us())


def _require_own(connection: Connection, app: Application, recording_id: str) -> None:
    recording = recordings.find(connection, recording_id)
    if recording is None:
        raise UnknownRecording(recording_id)
    if recording.app_id != app.id:
        raise RecordingAccessDenied(recording_id)
