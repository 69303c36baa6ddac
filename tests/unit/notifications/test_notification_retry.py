"""The one table from webhook answers to retries."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.notifications.retry import (
    LASTING_PAUSES_S,
    LIVE_OFFSETS_S,
    NEVER_US,
    RetrySchedule,
    Verdict,
    is_received,
    next_attempt_us,
    verdict_of,
)
from voiceblocks.settings import Settings

SECOND_US = 1_000_000

RETRIED = [None, 300, 301, 302, 303, 304, 305, 307, 308, 399, 429, 502, 503, 504]
RECEIVED = [200, 201, 204, 299, 400, 401, 403, 404, 405, 408, 418, 422, 501, 505, 599]


@pytest.mark.parametrize("status", RETRIED)
def test_retried(status: int | None) -> None:
    """No answer, an overloaded server and a redirect that was not followed are retried."""
    assert verdict_of(status) is Verdict.RETRY
    assert not is_received(status, 99)


@pytest.mark.parametrize("status", RECEIVED)
def test_received(status: int) -> None:
    """Every other answer counts as received."""
    assert verdict_of(status) is Verdict.RECEIVED
    assert is_received(status, 0)


def test_410_ends_it() -> None:
    """Gone is neither received nor retried."""
    assert verdict_of(410) is Verdict.GONE
    assert not is_received(410, 0)


def test_500_is_retried_twice() -> None:
    """The third answer of 500 counts as received."""
    assert verdict_of(500) is Verdict.RETRY_TWICE
    assert [is_received(500, before) for before in (0, 1, 2, 3)] == [False, False, True, True]


@given(st.integers(100, 599))
def test_every_status_has_a_verdict(status: int) -> None:
    """The table is total, and only 500 is retried a fixed number of times."""
    assert (verdict_of(status) is Verdict.RETRY_TWICE) == (status == 500)


def test_live_schedule() -> None:
    """Attempts are due 0.5, 1, 2, 4 and 8 s after the first, or soon when that is past."""
    due = [
        next_attempt_us(
            attempt_count=n, first_attempt_us=100, now_us=100, lasting=False, chance=0.9
        )
        for n in range(1, 7)
    ]
    assert due == [100 + int(s * SECOND_US) for s in (0.5, 1, 2, 4, 8)] + [NEVER_US]
    late = 100 + 10 * SECOND_US
    assert late + SECOND_US // 2 == next_attempt_us(
        attempt_count=1, first_attempt_us=100, now_us=late, lasting=False, chance=0.0
    )


def test_lasting_schedule_spans_days_and_ends() -> None:
    """A lasting notification is tried with growing pauses for about five days."""
    at_us, first_us, pauses = 0, 0, []
    for n in itertools.count(1):
        due = next_attempt_us(
            attempt_count=n, first_attempt_us=first_us, now_us=at_us, lasting=True, chance=0.0
        )
        if due is None:
            break
        pauses.append(due - at_us)
        at_us = due
    assert n == len(LIVE_OFFSETS_S) + len(LASTING_PAUSES_S)
    assert pauses[5:] == sorted(pauses[5:])
    assert 4.5 * 86400 < at_us / SECOND_US <= 5 * 86400


@given(
    count=st.integers(1, 30),
    first=st.integers(0, 10**15),
    passed=st.integers(0, 10**12),
    lasting=st.booleans(),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_always_due_later(
    count: int, first: int, passed: int, lasting: bool, chance: float
) -> None:
    """Whatever happened, the next attempt is later than now: failures do not spin."""
    due = next_attempt_us(
        attempt_count=count,
        first_attempt_us=first,
        now_us=first + passed,
        lasting=lasting,
        chance=chance,
    )
    assert due is None or due > first + passed


def test_the_settings_say_the_same() -> None:
    """The schedule that an operator finds in the settings is the one of this module."""
    settings = Settings(_env_file=None)
    assert RetrySchedule(settings.notify_retry_pauses_s, settings.notify_retry_jitter) == (
        RetrySchedule()
    )
