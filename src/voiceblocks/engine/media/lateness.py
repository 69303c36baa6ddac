"""How late the ticks of a worker are, and how busy it is."""

from __future__ import annotations

import bisect

EDGES_MS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"Upper edges of the histogram's bins; one more bin holds what is later."

N_BINS = len(EDGES_MS) + 1


class Lateness:
    """Collects one second of ticks."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._busy_s = 0.0

    def add(self, late_s: float, busy_s: float) -> None:
        """Note one tick: how long after its deadline it began, and how long it worked."""
        self._late_ms.append(late_s * 1000)
        self._busy_s += busy_s

    def summary(self) -> tuple[float, float, list[int], float]:
        """Return p99 and maximum in ms, the histogram, and seconds of work; begin anew."""
        ordered = sorted(self._late_ms) or [0.0]
        counts = [0] * N_BINS
        for late in self._late_ms:
            counts[bisect.bisect_left(EDGES_MS, late)] += 1
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        busy = self._busy_s
        self._late_ms = []
        self._busy_s = 0.0
        return p99, ordered[-1], counts, busy


def share_later_than(histogram: list[int], limit_ms: float) -> float:
    """Share of ticks in a histogram that were later than an edge, 0 to 1."""
    first = bisect.bisect_left(EDGES_MS, limit_ms) + 1
    total = sum(histogram)
    return sum(histogram[first:]) / total if total else 0.0
