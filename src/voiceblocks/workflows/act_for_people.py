"""What people do from the console: send a notification again, delete a recording, kill its links.

As in `show_to_people`, what is another account's is as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database import console_lists
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import RequestRefused
from voiceblocks.recordings.act import Doer
from voiceblocks.recordings.model import Recording
from voiceblocks.users.model import User
from voiceblocks.workflows.delete_recording import mark_deleted
from voiceblocks.workflows.manage_recordings import revoke_links
from voiceblocks.workflows.resend_notification import SignLink, resend_notification

T = TypeVar("T")

NO_SUCH = "There is nothing of that name here, or it belongs to another account."


class ActForPeople:
    """
    Acts for the console.

    Args:
        database: The node's database.
        clock: For when it was done.
        sign_link: Signs links anew in a notification that is sent again.
        wake_delivery: Called when a notification is to leave.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        sign_link: SignLink,
        wake_delivery: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._sign_link = sign_link
        self._wake_delivery = wake_delivery

    async def resend_notification(self, user: User, notification_id: str) -> None:
        """
        Let a settled notification leave again.

        Raises:
            RequestRefused: If it is not the user's, or on its way anyway, or its call lives.
        """

        def resend(connection: Connection) -> None:
            if not console_lists.notifications_of_calls(
                connection,
                user.account_id,
                states=[],
                after=None,
                limit=1,
                notification_id=notification_id,
            ):
                raise RequestRefused(NO_SUCH)
            resend_notification(
                connection,
                notification_id=notification_id,
                sign_link=self._sign_link,
                now_us=self._clock.utc_us(),
            )

        await self._database.run(resend)
        self._wake_delivery()

    async def delete_recording(self, user: User, recording_id: str, reason: str) -> None:
        """
        Delete a recording for good; its audio goes as soon as the stores let it.

        Raises:
            RequestRefused: If it is not the user's.
            RecordingOnHold, RecordingNotReady: With a sentence.
        """
        doer = self._doer(user, reason)
        await self._database.run(
            lambda c: mark_deleted(c, _own_recording(c, user, recording_id), doer)
        )

    async def revoke_links(self, user: User, recording_id: str) -> Recording:
        """
        Make every link to a recording worthless that was handed out until now.

        Raises:
            RequestRefused: If it is not the user's.
            RecordingNotReady: If it is still being made.
        """
        doer = self._doer(user, "")
        return await self._database.run(
            lambda c: revoke_links(c, _own_recording(c, user, recording_id), doer)
        )

    def _doer(self, user: User, reason: str) -> Doer:
        return Doer(f"{user.role.value} {user.name}", reason, self._clock.utc_us())


def _own_recording(connection: Connection, user: User, recording_id: str) -> str:
    if not console_lists.recordings_of_calls(
        connection, user.account_id, after=None, limit=1, recording_id=recording_id
    ):
        raise RequestRefused(NO_SUCH)
    return recording_id
