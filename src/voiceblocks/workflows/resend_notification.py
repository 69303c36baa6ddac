"""An operator has a settled notification sent again, as the same event."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from sqlalchemy import Connection

from voiceblocks.database import notifications, recordings, sessions
from voiceblocks.errors import RequestRefused
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.parameters import with_fresh_links
from voiceblocks.notifications.state import is_settled
from voiceblocks.sessions.state import SessionState

SignLink = Callable[[str, str, int], str]
"`(public_url, object_name, link_revision)` of a recording: a link that holds."


def resend_notification(
    connection: Connection, *, notification_id: str, sign_link: SignLink, now_us: int
) -> Notification:
    """
    Let it leave again, at once and on a schedule that begins anew, also to a stopped URL.

    Where others of its call are on their way it waits for its turn: order holds (decision 2).

    Links to recordings are signed afresh; the digits that a caller pressed are not kept
    once delivered, so it says `blanked` in their place.

    Returns:
        The notification as it was before.

    Raises:
        RequestRefused: If there is none, it is on its way anyway, or its call lives: an
            application must not hear of the past in the middle of a call.
    """
    found = notifications.find(connection, notification_id)
    if found is None:
        raise RequestRefused(f"There is no notification {notification_id}")
    if not is_settled(found.state):
        raise RequestRefused(f"{notification_id} is on its way: it is tried again by itself")
    session = sessions.find(connection, found.session_id)
    if session is not None and session.state is not SessionState.ENDED:
        raise RequestRefused(f"The call of {notification_id} is not over; send it again afterwards")

    def sign_again(link: str) -> str:
        parts = urlsplit(link)
        name = parts.path.rpartition("/")[2]
        recording = recordings.find_by_object_name(connection, name)
        revision = 0 if recording is None else recording.link_revision
        return sign_link(f"{parts.scheme}://{parts.netloc}", name, revision)

    parameters = with_fresh_links(found.parameters, sign_again)
    notifications.resend(connection, found, parameters, now_us)
    return found
