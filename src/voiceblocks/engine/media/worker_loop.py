"""What drives a worker: ticks at absolute deadlines, commands in, events out.

Commands are obeyed at the end of a tick, so that nothing comes between a deadline and the
packets that are due. Only what plays begins and stops in the pause before a tick, too: a
prompt that had to wait for two ticks would be heard 10 ms later.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.lateness import Lateness
from voiceblocks.engine.media.transmit import TICK_MS

if TYPE_CHECKING:
    from voiceblocks.engine.media.worker import Worker

TICK_S = TICK_MS / 1000

MAX_CATCH_UP_TICKS = 20
"After a longer stall (a stopped machine) what should have been sent is given up."

STATS_INTERVAL_S = 1.0
MAX_COMMANDS_PER_TICK = 50
"The rest waits for the next tick: opening a leg takes some 100 microseconds."

QUIET_S = 0.0005
"Before a deadline nothing is begun any more: mapping a clip takes some 50 microseconds."

_OBEYED_AT_ONCE = (m.StartSource, m.StopSource)
"These change nothing that depends on the clock of a tick."


class Outbox:
    """Events on their way to the control process; one that is behind never blocks the tick."""

    def __init__(self, channel: ipc.Channel[m.WorkerCommand]) -> None:
        self._channel = channel
        self._waiting: deque[tuple[Any, list[int]]] = deque()

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Send now or at a later tick, in order. Descriptors stay the caller's to close."""
        if self._waiting or not self._channel.try_send(message, fds):
            self._waiting.append((message, [os.dup(fd) for fd in fds]))

    def flush(self) -> None:
        """Send what waits, as far as the other end takes it."""
        while self._waiting:
            message, fds = self._waiting[0]
            if not self._channel.try_send(message, fds):
                return
            self._waiting.popleft()
            for fd in fds:
                os.close(fd)


class Inbox:
    """
    Commands from the control process, in order.

    Args:
        channel: Non-blocking.
        worker: Obeys them.
    """

    def __init__(self, channel: ipc.Channel[m.WorkerCommand], worker: Worker) -> None:
        self._channel = channel
        self._worker = worker
        # A low number, whatever the parent had open: select() takes none above 1023.
        self._fd = os.dup(channel.fileno())
        self._first: tuple[m.WorkerCommand, list[int]] | None = None
        self._is_open = True

    def wait_until(self, deadline: float) -> None:
        """Sleep until `deadline` (monotonic seconds), but begin and stop what plays meanwhile."""
        for _command in range(MAX_COMMANDS_PER_TICK):
            delay = deadline - time.monotonic() - QUIET_S
            if delay <= 0 or self._first is not None or not self._is_open:
                break
            # poll() and epoll count whole milliseconds only.
            if not select.select([self._fd], [], [], delay)[0]:
                break
            if isinstance(self._take(), _OBEYED_AT_ONCE):
                self._obey()
        delay = deadline - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def obey_all(self) -> bool:
        """Obey what waits; `False` once there is nobody left to obey."""
        for _command in range(MAX_COMMANDS_PER_TICK):
            if self._first is None and self._is_open and self._take() is None:
                break
            self._obey()
        return self._is_open

    def close(self) -> None:
        """Give up our own descriptor."""
        os.close(self._fd)

    def _take(self) -> m.WorkerCommand | None:
        """Receive the next command, if there is one, and keep it as the first."""
        try:
            received = self._channel.receive()
        except BlockingIOError:
            return None
        if received is None or isinstance(received[0], m.Shutdown):
            self._is_open = False
            return None
        self._first = received
        return received[0]

    def _obey(self) -> None:
        if self._first is not None:
            (command, fds), self._first = self._first, None
            self._worker.obey(command, fds)


def run(channel: ipc.Channel[m.WorkerCommand], outbox: Outbox, worker: Worker) -> None:
    """Drive a worker until its channel closes."""
    inbox = Inbox(channel, worker)
    lateness = Lateness()
    start = time.monotonic()
    stats_at = start
    tick = 0
    while True:
        deadline = start + tick * TICK_S
        inbox.wait_until(deadline)
        now = time.monotonic()
        worker.run_tick(tick, now, time.time_ns() // 1000)
        if not inbox.obey_all():
            inbox.close()
            return
        outbox.flush()
        done = time.monotonic()
        lateness.add(now - deadline, done - now)
        if done - stats_at >= STATS_INTERVAL_S:
            outbox.send(worker.stats(lateness, done - stats_at))
            stats_at = done
        tick += 1
        behind = int((done - start) / TICK_S) - tick
        if behind > MAX_CATCH_UP_TICKS:
            tick += behind
            worker.skip_to(tick)
