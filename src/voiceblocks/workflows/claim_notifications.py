"""One look at the outbox: what may leave now, fairly shared among hosts, and its attempts begun.

Runs in the database's thread, in one transaction. Each waiting host is asked for what it
has room for: first for calls that live, then for the rest; hosts with the fewest requests
on their way come first. What waits for a host without room is not even read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from voiceblocks.database import due_notifications, notifications, stopped_urls
from voiceblocks.database.due_notifications import WaitingHost
from voiceblocks.errors import VoiceblocksError
from voiceblocks.log import get_logger
from voiceblocks.notifications.host_health import HostHealth
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance

_SECOND_US = 1_000_000
_log = get_logger("notifications")

NewestToken = Callable[[Connection, str, int], str | None]
"An application's newest valid token at a time: `(connection, app_id, now_us)`."


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long requests may take."""

    live_s: float
    late_s: float
    claim_margin_s: float


@dataclass(frozen=True, slots=True)
class Departure:
    """A notification whose attempt is counted and committed, and may leave."""

    notification: Notification
    "As before this attempt."
    token: str | None
    at_us: int
    timeout_s: float

    @property
    def number(self) -> int:
        """Of the attempt, counted from 1."""
        return self.notification.attempt_count + 1


@dataclass(slots=True)
class Claimed:
    """What one look gave."""

    departures: list[Departure] = field(default_factory=list)
    gone: list[Notification] = field(default_factory=list)
    "Given up without a request, since their URL was stopped."
    due_us: int | None = None
    "When something more may leave, as far as time decides it; may lie in the past."


def claim_notifications(
    connection: Connection,
    health: HostHealth,
    *,
    now_us: int,
    limit: int,
    requests: RequestLimits,
    newest_token: NewestToken,
) -> Claimed:
    """
    Begin what may leave now.

    Args:
        connection: In a transaction.
        health: How much room each host has; only looked at.
        now_us: The present.
        limit: At most so many.
        requests: Their time limits.
        newest_token: Finds the token that signs.
    """
    claimed = Claimed()
    found: list[Notification] = []
    waiting = due_notifications.waiting_hosts(connection)
    by_room = sorted(
        waiting, key=lambda one: health.room(one.host, urgent=True, now_us=now_us), reverse=True
    )
    # Everybody gets a part before anybody gets more than a part; what is over waits for the
    # next look, which follows at once. Dead hosts, which have no room, count for nothing:
    # else so many of them would leave the others a handful in each transaction.
    n_served = sum(1 for one in waiting if _may_get(one, health, now_us))
    share = max(1, limit // max(1, n_served))
    for one in by_room:
        room = min(share, limit - len(found))
        urgent = _take(connection, health, one, found, room, 0, urgent=True, now_us=now_us)
        late = _take(connection, health, one, found, room, urgent.n, urgent=False, now_us=now_us)
        times = [due for due in (claimed.due_us, urgent.next_us, late.next_us) if due is not None]
        claimed.due_us = min(times, default=None)
    _drop_stopped(connection, found, claimed, now_us)
    tokens: dict[str, str | None] = {}
    for notification in found:
        if notification.app_id not in tokens:
            tokens[notification.app_id] = _token(
                connection, newest_token, notification.app_id, now_us
            )
        timeout_s = requests.live_s if notification.urgent else requests.late_s
        token = tokens[notification.app_id]
        claimed.departures.append(Departure(notification, token, now_us, timeout_s))
    margin_s = requests.claim_margin_s
    due_notifications.begin_attempts(
        connection,
        [
            (one.notification.id, now_us + int((one.timeout_s + margin_s) * _SECOND_US))
            for one in claimed.departures
        ],
        now_us,
    )
    return claimed


@dataclass(frozen=True, slots=True)
class _Taken:
    n: int
    next_us: int | None


def _may_get(one: WaitingHost, health: HostHealth, now_us: int) -> bool:
    """Whether something for this host is due, and the host has room for it."""
    return any(
        us is not None and us <= now_us and health.room(one.host, urgent=urgent, now_us=now_us) > 0
        for us, urgent in ((one.urgent_us, True), (one.late_us, False))
    )


def _take(
    connection: Connection,
    health: HostHealth,
    one: WaitingHost,
    found: list[Notification],
    most: int,
    already: int,
    *,
    urgent: bool,
    now_us: int,
) -> _Taken:
    """Add what a host may get of one kind beside `already`; say when it may get more."""
    first_us = one.urgent_us if urgent else one.late_us
    if first_us is None:
        return _Taken(0, None)
    if first_us > now_us:
        return _Taken(0, health.next_us(one.host, first_us, urgent=urgent))
    leaving = sum(1 for other in found if health.in_trouble(other.host))
    room = health.room(one.host, urgent=urgent, now_us=now_us, leaving=leaving) - already
    most -= already
    taken: list[Notification] = []
    if min(room, most) > 0:
        taken = due_notifications.due(
            connection, one.host, urgent=urgent, now_us=now_us, limit=min(room, most)
        )
        found += taken
    if len(taken) >= room:
        # More of it leaves when a request returns, or when a host in trouble is probed.
        probe_us = health.next_us(one.host, first_us, urgent=urgent)
        return _Taken(len(taken), probe_us if probe_us > now_us else None)
    return _Taken(len(taken), first_us if len(taken) >= most else None)


def _drop_stopped(
    connection: Connection, found: list[Notification], claimed: Claimed, now_us: int
) -> None:
    """Give up what goes to a stopped URL, unless an operator wants it sent."""
    keys = {
        one.id: stopped_urls.key_of(one.app_id, one.url) for one in found if not one.attempts_before
    }
    stopped = stopped_urls.stopped_among(connection, keys.values())
    if not stopped:
        return
    state = advance(NotificationState.PENDING, NotificationEvent.GONE)
    claimed.gone = [one for one in found if keys.get(one.id) in stopped]
    for one in claimed.gone:
        notifications.settle(connection, one.id, state, now_us)
        found.remove(one)


def _token(
    connection: Connection, newest_token: NewestToken, app_id: str, now_us: int
) -> str | None:
    try:
        return newest_token(connection, app_id, now_us)
    except VoiceblocksError as error:
        # One application's unreadable secret must not stop the round of all others.
        _log.warning("access_token_unreadable", app=app_id, error=str(error))
        return None
