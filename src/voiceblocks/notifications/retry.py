"""When a notification counts as received, and when it is tried again (decision 2).

The table is `verdict_of`; nothing else looks at HTTP status codes. A failure without an
answer (no connection, time-out, TLS, a target that the guard refuses) is always retried.

Redirects: the client follows 307 and 308, which keep the POST. Any other redirect that
gets here is a failed attempt (decision 22): the application has not read the notification,
and what it redirects to would be a GET without a body. It is retried like a failure
to connect, since nothing may be lost that a corrected server would take a day later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_SECOND_US = 1_000_000
_MINUTE_S = 60.0
_HOUR_S = 3600.0


class Verdict(StrEnum):
    """What an attempt's outcome means."""

    RECEIVED = "received"
    RETRY = "retry"
    RETRY_TWICE = "retry_twice"
    "Retried twice; the third such answer counts as received."
    GONE = "gone"
    "Nothing is sent to that URL any more, until an operator says otherwise."


_RETRIED_STATUSES = frozenset({429, 502, 503, 504})
_REDIRECTS = range(300, 400)
_GONE = 410

LIVE_OFFSETS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"Seconds after the first attempt, at which the attempts of a living call are due."

LIVE_PAUSE_S = 0.5
"Pause after a failure that came later than the next attempt was due: a time-out, a restart."

LASTING_PAUSES_S = (
    30.0,
    2 * _MINUTE_S,
    10 * _MINUTE_S,
    _HOUR_S,
    3 * _HOUR_S,
    6 * _HOUR_S,
    12 * _HOUR_S,
    24 * _HOUR_S,
    24 * _HOUR_S,
    24 * _HOUR_S,
    24 * _HOUR_S,
)
"Pauses after the live attempts of a lasting notification: five days, less two hours."

JITTER = 0.2
"Share of a lasting pause that chance adds, so that a host that is back is not stormed."


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """How long what lasts is tried, after the attempts of a living call, which are fixed."""

    pauses_s: tuple[float, ...] = LASTING_PAUSES_S
    "One after each further attempt; when they are used up it is given up."
    jitter: float = JITTER
    "Share of each pause that chance adds at most."


DEFAULT_SCHEDULE = RetrySchedule()

NEVER_US = 2**62
"The next attempt of a notification that waits for its call to end, and for nothing else."

EXTRA_SERVER_ERRORS = 2
"How many answers of 500 are retried: old applications answer it after they acted."


def verdict_of(http_status: int | None) -> Verdict:
    """Return what the answer means.

    Args:
        http_status: The final answer's, or `None` where there was none.
    """
    if http_status is None or http_status in _RETRIED_STATUSES or http_status in _REDIRECTS:
        return Verdict.RETRY
    if http_status == 500:
        return Verdict.RETRY_TWICE
    if http_status == _GONE:
        return Verdict.GONE
    return Verdict.RECEIVED


def is_received(http_status: int | None, server_errors_before: int) -> bool:
    """Whether the notification is delivered with this answer.

    Args:
        http_status: This answer's, or `None`.
        server_errors_before: Earlier attempts of this notification that were answered 500.
    """
    verdict = verdict_of(http_status)
    if verdict is Verdict.RETRY_TWICE:
        return server_errors_before >= EXTRA_SERVER_ERRORS
    return verdict is Verdict.RECEIVED


def next_attempt_us(
    *,
    attempt_count: int,
    first_attempt_us: int,
    now_us: int,
    lasting: bool,
    chance: float,
    schedule: RetrySchedule = DEFAULT_SCHEDULE,
) -> int | None:
    """Return when a failed notification is due again.

    Args:
        attempt_count: Attempts so far, at least 1.
        first_attempt_us: When the first began.
        now_us: When the last one failed.
        lasting: Whether it goes on after the live attempts.
        chance: Randomness in [0, 1).
        schedule: Of what lasts.

    Returns:
        A time after `now_us`; `NEVER_US` for one that is not lasting and has
        used its attempts, which waits for the call to end; `None` when it is given up.
    """
    if attempt_count < len(LIVE_OFFSETS_S):
        due_us = first_attempt_us + int(LIVE_OFFSETS_S[attempt_count] * _SECOND_US)
        return due_us if due_us > now_us else now_us + int(LIVE_PAUSE_S * _SECOND_US)
    if not lasting:
        return NEVER_US
    step = attempt_count - len(LIVE_OFFSETS_S)
    if step >= len(schedule.pauses_s):
        return None
    pause_s = schedule.pauses_s[step] * (1 + schedule.jitter * chance)
    return now_us + int(pause_s * _SECOND_US)
