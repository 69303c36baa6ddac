"""The clock that is passed around. The real one lives in `system_clock`."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two readings of time; protocol cores get theirs as arguments instead."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; the same for all processes of this machine."""
        ...

    def utc_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...
