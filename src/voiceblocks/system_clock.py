"""The machine's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """Fulfils `clock.Clock` with the machine's time."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC, which all processes of this machine share."""
        return time.monotonic()

    def utc_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000
