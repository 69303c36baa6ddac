"""An attempt is over: keep what came of it, and decide what follows, in one transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from voiceblocks.database import (
    due_notifications,
    notification_attempts,
    notifications,
    sessions,
    stopped_urls,
)
from voiceblocks.log import get_logger
from voiceblocks.notifications.interfaces import WebhookResult
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.parameters import blanked_answer
from voiceblocks.notifications.retry import (
    RetrySchedule,
    Verdict,
    is_received,
    next_attempt_us,
    verdict_of,
)
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.claim_notifications import Departure

_SERVER_ERROR = 500
_log = get_logger("notifications")


def conclude_attempt(
    connection: Connection,
    departure: Departure,
    result: WebhookResult,
    *,
    now_us: int,
    schedule: RetrySchedule,
    chance: Callable[[], float],
) -> NotificationState:
    """
    Record the attempt and what follows from it.

    Returns:
        Where the notification stands now: `pending` where another attempt follows.
    """
    notification = departure.notification
    before = (
        notification_attempts.count_answers(
            connection, notification.id, _SERVER_ERROR, after=notification.attempts_before
        )
        if result.http_status == _SERVER_ERROR
        else 0
    )
    notification_attempts.record(
        connection,
        Attempt(
            notification_id=notification.id,
            number=departure.number,
            started_us=departure.at_us,
            latency_ms=result.latency_ms,
            http_status=result.http_status,
            error=result.error,
            # Receivers that echo what they got must not undo the blanking (decision 8).
            answer=blanked_answer(result.answer, notification.parameters),
        ),
    )
    if verdict_of(result.http_status) is Verdict.GONE:
        if stopped_urls.stop(connection, notification.app_id, notification.url, now_us):
            _log.warning("url_stopped", app=notification.app_id, host=notification.host)
        return _settle(connection, notification, NotificationEvent.GONE, now_us)
    if is_received(result.http_status, before):
        if notification.attempts_before:
            # Sent by an operator although it was stopped, and somebody is there again.
            stopped_urls.resume(connection, notification.app_id, notification.url)
        return _settle(connection, notification, NotificationEvent.ANSWERED, now_us)
    if not notification.lasting and _has_ended(connection, notification.session_id):
        return _settle(connection, notification, NotificationEvent.CALL_ENDED, now_us)
    first_us = notification.first_attempt_us
    due_us = next_attempt_us(
        attempt_count=departure.number - notification.attempts_before,
        first_attempt_us=departure.at_us if first_us is None else first_us,
        now_us=now_us,
        lasting=notification.lasting,
        chance=chance(),
        schedule=schedule,
    )
    if due_us is None:
        return _settle(connection, notification, NotificationEvent.EXHAUSTED, now_us)
    if due_notifications.reschedule(connection, notification.id, due_us):
        return NotificationState.PENDING
    return _state_of(connection, notification)


def _settle(
    connection: Connection, notification: Notification, event: NotificationEvent, now_us: int
) -> NotificationState:
    state = advance(NotificationState.PENDING, event)
    if notifications.settle(connection, notification.id, state, now_us):
        return state
    return _state_of(connection, notification)


def _state_of(connection: Connection, notification: Notification) -> NotificationState:
    """Return where it stands now: it was settled while its request was in flight."""
    found = notifications.find(connection, notification.id)
    return notification.state if found is None else found.state


def _has_ended(connection: Connection, session_id: str) -> bool:
    session = sessions.find(connection, session_id)
    return session is None or session.state is SessionState.ENDED
