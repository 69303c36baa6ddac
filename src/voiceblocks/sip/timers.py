"""RFC 3261 timer constants and a queue of deadlines.

Nothing here reads a clock: `now` is monotonic seconds given by the caller, and a timer
fires when `TimerQueue.run_due` is called at or after its deadline.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

T1_S = 0.5
"Estimate of the round trip (RFC 3261 17.1.1.1)."

T2_S = 4.0
"Longest interval between repeats of a non-INVITE request or an INVITE response."

T4_S = 5.0
"How long a message can stay in the network."

TIMEOUT_S = 64 * T1_S
"Timers B, F, H, J (UDP), L and M, and how long a 2xx is repeated."

TIMER_D_S = 32.0
"How long the INVITE client repeats its ACK to a repeated 3xx-6xx, on UDP."

RING_REPEAT_S = 60.0
"Every minute a provisional response goes out, so that no proxy gives up (13.3.1.1)."


class Timer:
    """One pending deadline; belongs to the queue that made it."""

    __slots__ = ("_action", "_queue", "deadline")

    def __init__(self, queue: TimerQueue, deadline: float, action: Callable[[float], None]) -> None:
        self._queue = queue
        self._action: Callable[[float], None] | None = action
        self.deadline = deadline
        "Monotonic seconds."

    @property
    def is_pending(self) -> bool:
        """Whether it has neither fired nor been cancelled."""
        return self._action is not None

    def cancel(self) -> None:
        """Make sure that it never fires; harmless when it already has."""
        if self._action is not None:
            self._action = None
            self._queue.note_cancelled()

    def take_action(self) -> Callable[[float], None] | None:
        """Hand the action over, once; for the queue."""
        action, self._action = self._action, None
        return action


class TimerQueue:
    """Deadlines in order. Cancelled ones vanish from `len` and `next_deadline` at once."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._pending = 0

    def __len__(self) -> int:
        return self._pending

    def schedule(self, deadline: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` at or after `deadline`."""
        timer = Timer(self, deadline, action)
        self._serial += 1
        self._pending += 1
        heapq.heappush(self._heap, (deadline, self._serial, timer))
        return timer

    def note_cancelled(self) -> None:
        """A timer of this queue was cancelled; called by the timer itself."""
        self._pending -= 1
        # Cancelled entries stay in the heap until they surface; most SIP timers are
        # cancelled, so the heap is rebuilt before the dead outnumber the living.
        if len(self._heap) > 64 and len(self._heap) > 2 * self._pending:
            self._heap = [entry for entry in self._heap if entry[2].is_pending]
            heapq.heapify(self._heap)

    def next_deadline(self) -> float | None:
        """The earliest pending deadline, or `None`."""
        while self._heap and not self._heap[0][2].is_pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_due(self, now: float) -> None:
        """Fire everything that is due, in order of deadline."""
        while (deadline := self.next_deadline()) is not None and deadline <= now:
            action = heapq.heappop(self._heap)[2].take_action()
            self._pending -= 1
            if action is not None:
                action(now)


class Repeater:
    """
    Repeats a message at doubling intervals until stopped.

    Args:
        send: Called at each repeat (not at the start: the first copy is the caller's).
        longest_s: Upper limit of the interval; `None` doubles for ever (timer A).
    """

    __slots__ = ("_interval_s", "_longest_s", "_send", "_timer", "_timers")

    def __init__(
        self,
        timers: TimerQueue,
        send: Callable[[], None],
        now: float,
        *,
        longest_s: float | None = T2_S,
    ) -> None:
        self._timers = timers
        self._send = send
        self._longest_s = longest_s
        self._interval_s = T1_S
        self._timer = timers.schedule(now + T1_S, self._fire)

    def _fire(self, now: float) -> None:
        self._interval_s *= 2
        if self._longest_s is not None:
            self._interval_s = min(self._interval_s, self._longest_s)
        self._timer = self._timers.schedule(now + self._interval_s, self._fire)
        self._send()

    def slow_down(self, now: float) -> None:
        """Continue at the longest interval: timer E after a provisional response (17.1.2.2)."""
        self._interval_s = self._longest_s or self._interval_s
        self._timer.cancel()
        self._timer = self._timers.schedule(now + self._interval_s, self._fire)

    def stop(self) -> None:
        """Send no more."""
        self._timer.cancel()
