"""A notification and its attempts, as values. Not for sending them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from voiceblocks.notifications.state import NotificationState

LASTING_BLOCKS = frozenset({"record", "monitor"})


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to an application, however many attempts it takes (decision 1)."""

    id: str
    "The stable event id, the same at every attempt: `evt_…`."
    session_id: str
    sequence: int
    "Counts from 1 within the session; the order in which they leave."
    app_id: str
    block: str
    "The `ivr_block`, such as `record`."
    url: str
    "The notify_url as the application gave it. May hold secrets in its query: never logged."
    host: str
    "From `host_of`: what limits count by."
    urgent: bool
    "Whether its call lives."
    parameters: str
    "Form-encoded, without those of the URL; blanked once settled (decision 8)."
    lasting: bool
    "Whether it is kept for days once the call has ended; see `is_lasting`."
    state: NotificationState
    attempt_count: int
    "Attempts begun, including one in flight or lost in a crash."
    attempts_before: int
    "How many of them came before an operator had it sent again; its schedule began anew there."
    first_attempt_us: int | None
    next_attempt_us: int
    claimed_until_us: int | None
    "Until when one sender has it; after a crash it is free again then."
    created_us: int
    settled_us: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP request of a notification, and what came of it."""

    notification_id: str
    number: int
    "Counts from 1; a number without an attempt was lost in a crash."
    started_us: int
    latency_ms: int
    http_status: int | None
    error: str | None
    "Why there was no answer, without the URL."
    answer: str | None
    "The first part of the answer's body."


def is_lasting(block: str, *, call_ended: bool) -> bool:
    """Whether a notification matters after the call: recordings and ended calls do (decision 2)."""
    return call_ended or block in LASTING_BLOCKS


def host_of(url: str) -> str:
    """`host:port` as the URL has it, without user names; empty where it cannot be read."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def new_notification(
    *,
    notification_id: str,
    session_id: str,
    sequence: int,
    app_id: str,
    block: str,
    url: str,
    parameters: str,
    call_ended: bool,
    now_us: int,
) -> Notification:
    """Return a notification that may leave at once.

    Args:
        notification_id: From `ids.new_notification_id`.
        session_id: Whose call it tells of.
        sequence: The session's count of notifications, this one included.
        app_id: Whose newest token signs it.
        block: The `ivr_block`.
        url: The notify_url, checked.
        parameters: From `parameters.encode`.
        call_ended: Whether its `call_state` is `ended`.
        now_us: Time of the fact that it tells.
    """
    return Notification(
        id=notification_id,
        session_id=session_id,
        sequence=sequence,
        app_id=app_id,
        block=block,
        url=url,
        host=host_of(url),
        urgent=not call_ended,
        parameters=parameters,
        lasting=is_lasting(block, call_ended=call_ended),
        state=NotificationState.PENDING,
        attempt_count=0,
        attempts_before=0,
        first_attempt_us=None,
        next_attempt_us=now_us,
        claimed_until_us=None,
        created_us=now_us,
        settled_us=None,
    )
