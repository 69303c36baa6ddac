"""Deliver notifications: claim, sign, POST, retry.

One task claims what is due and starts a task for each request; no transaction and no lock
is held while an application thinks, since it sends its next block from inside its handler.

```
claim_due + begin_attempt | commit | POST ... | record_attempt + settle or reschedule | commit
```

A crash between the two commits leaves a claim that runs out, after which the same event id
and body are sent again: every notification that is not settled otherwise arrives at least
once. What was settled while its request was in flight (the application had its next block
accepted) stays so; the attempt is recorded all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database import notifications, sessions
from voiceblocks.errors import VoiceblocksError
from voiceblocks.log import get_logger
from voiceblocks.notifications import signature
from voiceblocks.notifications.interfaces import WebhookResult, WebhookSender
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.parameters import body, target_url
from voiceblocks.notifications.retry import is_received, next_attempt_us
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance
from voiceblocks.sessions.state import SessionState

T = TypeVar("T")

_SECOND_US = 1_000_000
_CONTENT_TYPE = "application/x-www-form-urlencoded"
_SERVER_ERROR = 500
_log = get_logger("notifications")

NewestToken = Callable[[Connection, str, int], str | None]
"An application's newest valid token at a time: `(connection, app_id, now_us)`."

OnFirstAttempt = Callable[[str, int], None]
"Told `(session_id, at_us)` when a notification leaves for the first time; must not block."


class Transactions(Protocol):
    """What is used of `database.unit_of_work.Database`."""

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in a transaction and return its result after the commit."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Numbers that no application sees, but an operator might want to change."""

    in_flight: int = 512
    "Requests at the same time, all hosts."
    in_flight_per_host: int = 128
    "Requests at the same time to one host; so many a dead one holds back."
    batch: int = 64
    "Claimed in one transaction at most."
    live_request_s: float = 10.0
    "Time limit of a request while its call lives."
    late_request_s: float = 30.0
    "The same once the call has ended and nobody waits on the line."
    claim_margin_s: float = 5.0
    "How much longer than its request a claim lasts."
    poll_s: float = 5.0
    "The database is asked at least so often: another node may have died with claims."
    busy_pause_s: float = 0.25
    "How long what its host has no room for stands back; longer with the length of its queue."
    busy_pause_max_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Departure:
    """A notification whose attempt is counted and committed, and may leave."""

    notification: Notification
    "As before this attempt."
    host: str
    token: str | None
    at_us: int
    timeout_s: float

    @property
    def number(self) -> int:
        return self.notification.attempt_count + 1


class NotificationDelivery:
    """
    Sends what the outbox holds, for as long as it is started.

    Args:
        database: Runs the transactions.
        sender: Sends one request, and raises nothing.
        clock: UTC for schedules and claims.
        newest_token: Finds the token that signs.
        on_first_attempt: The idle clock starts there (decision 2).
        limits: See `DeliveryLimits`.
        chance: Randomness in [0, 1) for the pauses of lasting notifications.
    """

    def __init__(
        self,
        database: Transactions,
        sender: WebhookSender,
        clock: Clock,
        newest_token: NewestToken,
        on_first_attempt: OnFirstAttempt = lambda _session_id, _at_us: None,
        *,
        limits: DeliveryLimits | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock
        self._newest_token = newest_token
        self._on_first_attempt = on_first_attempt
        self._limits = limits or DeliveryLimits()
        self._chance = chance
        self._woken = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to deliver, first what an earlier process left. Needs a running loop."""
        if self._loop_task is None:
            self._woken.set()
            self._loop_task = asyncio.create_task(self._deliver_for_ever())

    def wake(self) -> None:
        """
        Look at the outbox now.

        Called on the loop after a commit that inserted or settled notifications.
        """
        self._woken.set()

    async def stop(self, grace_s: float = 0.0) -> None:
        """
        End the delivery.

        Args:
            grace_s: How long what is due may still be sent, and requests in flight may go on.
                What is cut off is sent again by whoever starts next.
        """
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
            self._loop_task = None
        if grace_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._send_all_due()
        for task in self._in_flight:
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _send_all_due(self) -> None:
        """Return when nothing is due and nothing in flight; what is due later stays."""
        while True:
            try:
                pause_s = await self._send_due()
            except Exception:  # noqa: BLE001 - at the end there is no next round
                _log.exception("notification_round_failed")
                return
            if self._in_flight:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
            elif pause_s:
                return

    async def _deliver_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                pause_s = await self._send_due()
            except Exception:  # noqa: BLE001 - see below
                # Whatever it is (a full disk, a lost database), the next round may succeed,
                # and without rounds every application would go deaf.
                _log.exception("notification_round_failed")
                pause_s = 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    async def _send_due(self) -> float:
        """Let go what may leave; return for how long nothing else will, unless woken."""
        room = min(self._limits.batch, self._limits.in_flight - len(self._in_flight))
        if room <= 0:
            return self._limits.poll_s
        now_us = self._clock.utc_us()
        busy = dict(self._busy)
        departures, n_claimed, due_us = await self._database.run(
            lambda connection: self._claim(connection, now_us, room, busy)
        )
        for departure in departures:
            self._tell_first_attempt(departure)
            self._busy[departure.host] += 1
            task = asyncio.create_task(self._deliver(departure))
            self._in_flight.add(task)
            task.add_done_callback(partial(self._on_return, departure.host))
        if n_claimed == room:
            return 0.0
        if due_us is None:
            return self._limits.poll_s
        # Never quite zero: what is due but was not claimed is held by somebody else.
        wait_s = (due_us - self._clock.utc_us()) / _SECOND_US
        return min(max(wait_s, 0.01), self._limits.poll_s)

    def _tell_first_attempt(self, departure: _Departure) -> None:
        if departure.number != 1:
            return
        session_id = departure.notification.session_id
        try:
            self._on_first_attempt(session_id, departure.at_us)
        except Exception:  # noqa: BLE001 - see below
            # A call that cannot be told costs no notification, its own or another's.
            _log.exception("first_attempt_not_told", session=session_id)

    def _claim(
        self, connection: Connection, now_us: int, limit: int, busy: Mapping[str, int]
    ) -> tuple[list[_Departure], int, int | None]:
        """Claim what is due and begin its attempts; runs in the database's thread."""
        until_us = now_us + _us(self._limits.live_request_s + self._limits.claim_margin_s)
        claimed = notifications.claim_due(connection, now_us, until_us, limit)
        departures = []
        leaving = Counter(busy)
        for notification in claimed:
            host = _host_of(notification.url)
            if leaving[host] >= self._limits.in_flight_per_host:
                self._stand_back(connection, notification, now_us, leaving[host])
            else:
                departures.append(self._begin(connection, notification, host, now_us))
            leaving[host] += 1
        return departures, len(claimed), notifications.next_due_us(connection)

    def _stand_back(
        self, connection: Connection, notification: Notification, now_us: int, position: int
    ) -> None:
        """Make room in the front of the outbox, lest a dead host's queue hides all others."""
        n_turns = position // self._limits.in_flight_per_host
        pause_s = min(self._limits.busy_pause_s * n_turns, self._limits.busy_pause_max_s)
        notifications.reschedule(
            connection, notification.id, now_us + _us(pause_s), notification.attempt_count
        )

    def _begin(
        self, connection: Connection, notification: Notification, host: str, now_us: int
    ) -> _Departure:
        ended = _has_ended(connection, notification.session_id)
        timeout_s = self._limits.late_request_s if ended else self._limits.live_request_s
        until_us = now_us + _us(timeout_s + self._limits.claim_margin_s)
        notifications.begin_attempt(connection, notification.id, now_us, until_us)
        try:
            token = self._newest_token(connection, notification.app_id, now_us)
        except VoiceblocksError as error:
            # One application's unreadable secret must not stop the round of all others.
            _log.warning("access_token_unreadable", app=notification.app_id, error=str(error))
            token = None
        return _Departure(notification, host, token, now_us, timeout_s)

    async def _deliver(self, departure: _Departure) -> None:
        notification = departure.notification
        try:
            result = await self._send(departure)
            now_us = self._clock.utc_us()
            state = await self._database.run(
                lambda connection: self._conclude(connection, departure, result, now_us)
            )
            _log.info(
                "notification_attempted",
                notification=notification.id,
                session=notification.session_id,
                block=notification.block,
                attempt=departure.number,
                host=departure.host,
                http_status=result.http_status,
                error=result.error,
                latency_ms=result.latency_ms,
                state=state.value,
            )
        except Exception:  # noqa: BLE001 - see below
            # Its claim runs out, and then it is sent again.
            _log.exception("notification_attempt_lost", notification=notification.id)

    def _on_return(self, host: str, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]
        # The session's next one may leave, or another of this host.
        self._woken.set()

    async def _send(self, departure: _Departure) -> WebhookResult:
        notification = departure.notification
        if departure.token is None:
            return WebhookResult(0, error="no_access_token")
        try:
            url = target_url(notification.url, notification.parameters)
            content = body(notification.url, notification.parameters)
        except ValueError:
            return WebhookResult(0, error="target_refused: not an address")
        headers = {
            "Content-Type": _CONTENT_TYPE,
            signature.HEADER: signature.signature(content, departure.token),
            "X-Voiceblocks-Event": notification.id,
            "X-Voiceblocks-Attempt": str(departure.number),
            "X-Voiceblocks-Timestamp": str(departure.at_us // _SECOND_US),
        }
        return await self._sender.send(url, content, headers, timeout_s=departure.timeout_s)

    def _conclude(
        self, connection: Connection, departure: _Departure, result: WebhookResult, now_us: int
    ) -> NotificationState:
        """Record the attempt and what follows from it; returns the notification's state."""
        notification = departure.notification
        server_errors = notifications.count_answers(connection, notification.id, _SERVER_ERROR)
        notifications.record_attempt(
            connection,
            Attempt(
                notification_id=notification.id,
                number=departure.number,
                started_us=departure.at_us,
                latency_ms=result.latency_ms,
                http_status=result.http_status,
                error=result.error,
                answer=result.answer,
            ),
        )
        if is_received(result.http_status, server_errors):
            return _settle(connection, notification, NotificationEvent.ANSWERED, now_us)
        if not notification.lasting and _has_ended(connection, notification.session_id):
            return _settle(connection, notification, NotificationEvent.CALL_ENDED, now_us)
        first_us = notification.first_attempt_us
        due_us = next_attempt_us(
            attempt_count=departure.number,
            first_attempt_us=departure.at_us if first_us is None else first_us,
            now_us=now_us,
            lasting=notification.lasting,
            chance=self._chance(),
        )
        if due_us is None:
            return _settle(connection, notification, NotificationEvent.EXHAUSTED, now_us)
        if notifications.reschedule(connection, notification.id, due_us, departure.number):
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


def _host_of(url: str) -> str:
    """`host:port` for limits; also of a URL that nothing will be sent to."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _us(seconds: float) -> int:
    return int(seconds * _SECOND_US)
