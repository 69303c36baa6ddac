"""The moving window: never more than the limit in any minute, and never less than it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.accounts.errors import RateLimitExceeded
from voiceblocks.api.rate_limits import WINDOW_S, InMemoryRateLimiter


@dataclass
class HandClock:
    """Time as the test says."""

    now_s: float = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def utc_us(self) -> int:
        return round(self.now_s * 1e6)


def allowed(
    limiter: InMemoryRateLimiter, app_id: str = "app", api: str = "ivr/middle/play"
) -> bool:
    """Whether one more request is let through."""
    try:
        limiter.count(app_id, "ivr/middle/play")
    except RateLimitExceeded:
        return False
    return True


@given(
    st.integers(1, 5),
    st.lists(st.floats(0, 40, allow_subnormal=False), min_size=1, max_size=40),
)
def test_any_minute_has_the_limit_and_not_one_more(limit: int, pauses_s: list[float]) -> None:
    """A request is let through exactly where fewer than the limit were in the minute before it."""
    clock = HandClock()
    limiter = InMemoryRateLimiter(limit, clock=clock)
    times: list[float] = []
    for pause_s in pauses_s:
        clock.now_s += pause_s
        in_window = [t for t in times if t > clock.now_s - WINDOW_S]
        assert allowed(limiter) is (len(in_window) < limit)
        if len(in_window) < limit:
            times.append(clock.now_s)


def test_what_is_refused_does_not_count() -> None:
    """Who keeps asking while refused is let in as soon as the minute is over."""
    clock = HandClock()
    limiter = InMemoryRateLimiter(1, clock=clock)
    assert allowed(limiter)
    for clock.now_s in range(1, 60):
        assert not allowed(limiter)
    clock.now_s = 60.0
    assert allowed(limiter)


def test_windows_that_are_over_are_forgotten() -> None:
    """Applications that came once cost nothing a minute later; those of now keep their counts."""
    n = 10_000
    clock = HandClock()
    limiter = InMemoryRateLimiter(1, clock=clock)
    for app in range(n):
        assert allowed(limiter, f"old{app}")
    assert not allowed(limiter, f"old{n - 1}")
    clock.now_s = 61.0
    for app in range(n):
        assert allowed(limiter, f"new{app}")
        assert not allowed(limiter, f"new{app}")
    assert len(limiter._windows) < 2 * n
