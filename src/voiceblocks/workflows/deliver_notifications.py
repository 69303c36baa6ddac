"""Deliver notifications: claim, sign, POST, retry.

One task claims what is due (`claim_notifications`) and starts a task for each request; no
transaction and no lock is held while an application thinks, since it sends its next block
from inside its handler.

```
claim, attempt begun | commit | POST ... | attempt kept, settled or due later | commit
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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from voiceblocks import webhook_signatures
from voiceblocks.clock import Clock
from voiceblocks.database import due_notifications
from voiceblocks.log import get_logger
from voiceblocks.notifications.host_health import HostHealth
from voiceblocks.notifications.interfaces import WebhookResult, WebhookSender
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.parameters import body, target_url
from voiceblocks.notifications.retry import DEFAULT_SCHEDULE, RetrySchedule, Verdict, verdict_of
from voiceblocks.workflows.claim_notifications import (
    Claimed,
    Departure,
    NewestToken,
    RequestLimits,
    claim_notifications,
)
from voiceblocks.workflows.conclude_attempt import conclude_attempt

T = TypeVar("T")

_SECOND_US = 1_000_000
_CONTENT_TYPE = "application/x-www-form-urlencoded"
_OWN_FAILURES = ("no_access_token", "target_refused")
"Errors that say nothing about the host."
_HASTENED = 500
"Brought forward in one transaction once a host is back."
_log = get_logger("notifications")

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
        schedule: How long what lasts is tried.
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
        schedule: RetrySchedule = DEFAULT_SCHEDULE,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock
        self._newest_token = newest_token
        self._on_first_attempt = on_first_attempt
        self._limits = limits or DeliveryLimits()
        self._schedule = schedule
        self._chance = chance
        self._health = HostHealth(self._limits.in_flight_per_host, self._limits.in_flight, chance)
        self._requests = RequestLimits(
            live_s=self._limits.live_request_s,
            late_s=self._limits.late_request_s,
            claim_margin_s=self._limits.claim_margin_s,
        )
        self._back: set[str] = set()
        "Hosts that answer again, and for which something may still wait."
        self._woken = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._in_flight: set[asyncio.Task[None]] = set()

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
        back = list(self._back)
        claimed, all_brought = await self._database.run(
            lambda connection: self._claim(connection, now_us, room, back)
        )
        self._back.difference_update(all_brought)
        for notification in claimed.gone:
            self._tell_first_attempt(notification, now_us)
        for departure in claimed.departures:
            self._tell_first_attempt(departure.notification, departure.at_us)
            self._health.departed(departure.notification.host, urgent=departure.notification.urgent)
            task = asyncio.create_task(self._deliver(departure))
            self._in_flight.add(task)
            task.add_done_callback(partial(self._on_return, departure.notification))
        if self._back or claimed.gone:
            # Also what waited behind something that was given up.
            return 0.0
        if claimed.due_us is None:
            return self._limits.poll_s
        if claimed.due_us <= now_us and claimed.departures:
            return 0.0
        # Never quite zero: what is due but was not claimed is held by somebody else.
        wait_s = (claimed.due_us - self._clock.utc_us()) / _SECOND_US
        return min(max(wait_s, 0.01), self._limits.poll_s)

    def _tell_first_attempt(self, notification: Notification, at_us: int) -> None:
        if notification.attempt_count:
            return
        session_id = notification.session_id
        try:
            self._on_first_attempt(session_id, at_us)
        except Exception:  # noqa: BLE001 - see below
            # A call that cannot be told costs no notification, its own or another's.
            _log.exception("first_attempt_not_told", session=session_id)

    def _claim(
        self, connection: Connection, now_us: int, limit: int, back: list[str]
    ) -> tuple[Claimed, list[str]]:
        """
        Claim what may leave; runs in the database's thread.

        Returns, beside it, the hosts of `back` for which nothing waits any more.
        """
        all_brought = [
            host
            for host in back
            if due_notifications.hasten(connection, host, now_us, _HASTENED) < _HASTENED
        ]
        claimed = claim_notifications(
            connection,
            self._health,
            now_us=now_us,
            limit=limit,
            requests=self._requests,
            newest_token=self._newest_token,
        )
        return claimed, all_brought

    async def _deliver(self, departure: Departure) -> None:
        notification = departure.notification
        try:
            result = await self._send(departure)
            now_us = self._clock.utc_us()
            self._learn(notification.host, result, now_us)
            state = await self._database.run(
                lambda connection: conclude_attempt(
                    connection,
                    departure,
                    result,
                    now_us=now_us,
                    schedule=self._schedule,
                    chance=self._chance,
                )
            )
            _log.info(
                "notification_attempted",
                notification=notification.id,
                session=notification.session_id,
                block=notification.block,
                attempt=departure.number,
                host=notification.host,
                http_status=result.http_status,
                error=result.error,
                latency_ms=result.latency_ms,
                state=state.value,
            )
        except Exception:  # noqa: BLE001 - see below
            # Its claim runs out, and then it is sent again.
            _log.exception("notification_attempt_lost", notification=notification.id)

    def _learn(self, host: str, result: WebhookResult, now_us: int) -> None:
        """What an attempt says about its host."""
        if result.error is not None and result.error.startswith(_OWN_FAILURES):
            return
        if verdict_of(result.http_status) is not Verdict.RETRY:
            if self._health.answered(host):
                _log.warning("host_is_back", host=host)
                self._back.add(host)
            return
        was_in_trouble = self._health.in_trouble(host)
        self._health.failed(host, now_us)
        self._back.discard(host)
        if not was_in_trouble and self._health.in_trouble(host):
            _log.warning("host_in_trouble", host=host)

    def _on_return(self, notification: Notification, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._health.returned(notification.host, urgent=notification.urgent)
        # The session's next one may leave, or another of this host.
        self._woken.set()

    async def _send(self, departure: Departure) -> WebhookResult:
        notification = departure.notification
        if departure.token is None:
            return WebhookResult(0, error="no_access_token")
        try:
            url = target_url(notification.url, notification.parameters)
            content = body(notification.url, notification.parameters)
        except ValueError:
            return WebhookResult(0, error="target_refused: not an address")
        at_s = departure.at_us // _SECOND_US
        headers = {
            "Content-Type": _CONTENT_TYPE,
            **webhook_signatures.headers(notification.id, at_s, content, departure.token),
            "X-Voiceblocks-Event": notification.id,
            "X-Voiceblocks-Attempt": str(departure.number),
            "X-Voiceblocks-Timestamp": str(at_s),
        }
        return await self._sender.send(url, content, headers, timeout_s=departure.timeout_s)
