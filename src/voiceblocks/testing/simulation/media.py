"""Media worker and keeper without processes: their own code, driven by a virtual clock.

The worker is `engine.media.worker.Worker` as it is. Its loop's work, a tick each 10 ms at absolute
deadlines, commands at the end of a tick, is done by `MediaClock`. While it has no legs and no
command it does not tick: such a tick would change nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.children import Child, WorkerLink
from voiceblocks.engine.media.keeper import PASS_INTERVAL_S, KeptRow, keep_row
from voiceblocks.engine.media.ring import Arena
from voiceblocks.engine.media.sealing import SealedRow
from voiceblocks.testing.simulation.cruise import LEAST_TICKS, MOST_PHONES, CruisingWorker
from voiceblocks.testing.simulation.network import SimulatedNetwork
from voiceblocks.testing.simulation.phone_media import SimulatedMedia
from voiceblocks.testing.simulation.virtual_loop import (
    START_S,
    TICK_S,
    VirtualLoop,
    round_at,
    time_of,
)

_AT_ONCE = (m.StartSource, m.StopSource)
"As the worker's own loop does: what plays begins and stops between two ticks."


_APART = 0.001
"In ticks: so near to a timer the tick itself is done, together with it."


class Sender(Protocol):
    """A phone's media: it sends a packet at some of the ticks."""

    next_tick: int
    "At which it sends next."

    def tick(self, tick: int) -> None:
        """Do what is due at this tick, before the workers read."""
        ...


class MediaClock:
    """
    Ticks for workers and phones alike, as long as one of them has something to do.

    Args:
        loop: Whose time it is.
        cruises: Whether plain stretches are done at once (`cruise`); nobody can tell.
    """

    def __init__(self, loop: VirtualLoop, *, cruises: bool = True) -> None:
        self._loop = loop
        self._cruises = cruises
        self.skipped = 0
        "Ticks that were done as parts of a stretch."
        self._workers: list[InProcessWorker] = []
        self._senders: dict[Sender, None] = {}
        self._tick = 0
        self.now_s = START_S
        "Of the last tick."
        self._timer: asyncio.TimerHandle | None = None

    @property
    def tick(self) -> int:
        """Number of the last tick, counted from the loop's beginning."""
        return self._tick

    def add_worker(self, worker: InProcessWorker) -> None:
        """Drive a worker, too."""
        self._workers.append(worker)

    def add_sender(self, sender: Sender) -> None:
        """Tell a phone of each tick."""
        self._senders[sender] = None
        self.wake()

    def remove_sender(self, sender: Sender) -> None:
        """Tell it of no more."""
        self._senders.pop(sender, None)

    def wake(self) -> None:
        """Something is to be done: go on at the next tick, if it rests."""
        if self._timer is None:
            since = (self._loop.time() - START_S) / TICK_S
            self._tick = max(self._tick, math.floor(since + 1e-6))
            self._arm()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_last_at(time_of(self._tick + 1), self._on_time)

    def _cruise(self) -> None:
        """Do what comes before anything else can happen, as far as it is plain."""
        loop = self._loop
        if not self._cruises or not loop.is_quiet or len(self._senders) > MOST_PHONES:
            return
        until_s = loop.next_timer_s
        if until_s is not None:
            n_most = math.floor((until_s - time_of(self._tick)) / TICK_S - _APART)
            (worker,) = self._workers
            done = worker.cruise(tuple(self._senders), self._tick, n_most)
            self._tick += done
            self.skipped += done

    def _on_time(self) -> None:
        self._timer = None
        self._tick = tick = self._tick + 1
        self.now_s = time_of(tick)
        for sender in tuple(self._senders):
            if sender.next_tick <= tick:
                sender.tick(tick)
        busy = bool(self._senders)
        now, utc_us = self.now_s, self._loop.utc_us()
        for worker in self._workers:
            worker.run_tick(tick, now, utc_us)
            busy = busy or worker.is_busy
        if busy and self._timer is None:
            self._cruise()
            self._arm()


class InProcessWorker(WorkerLink):
    """
    A worker in this process, with the control process's side of it.

    Args:
        index: Its number.
        arguments: The arena's path, and the most legs.
        capacity: Most legs.
        clock: Drives it.
        network: Its sockets.
    """

    def __init__(
        self,
        index: int,
        arguments: Sequence[str],
        capacity: int,
        clock: MediaClock,
        network: SimulatedNetwork,
    ) -> None:
        super().__init__(index, arguments, capacity)
        self._clock = clock
        self._network = network
        self._arena: Arena | None = None
        self._worker: CruisingWorker | None = None
        self._commands: deque[tuple[m.WorkerCommand, list[int]]] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def is_up(self) -> bool:
        """From `start` to `stop`."""
        return self._worker is not None

    async def start(self) -> None:
        """Make the worker."""
        self._arena = Arena.open(Path(self._arguments[0]))
        self._worker = CruisingWorker(self._arena, self.capacity, self._report, self._network)
        self._clock.add_worker(self)
        self._on_up()

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Obeyed at the end of the next tick, or at once where that makes no difference."""
        if self._worker is None:
            return
        if isinstance(message, _AT_ONCE) and not self._commands:
            self._worker.obey(message, [])
        else:
            self._commands.append((message, list(fds)))
        self._clock.wake()

    def run_tick(self, tick: int, now: float, utc_us: int) -> None:
        """One tick: receive, send, obey."""
        if self._worker is None:
            return
        self._worker.run_tick(tick, now, utc_us)
        while self._commands:
            self._worker.obey(*self._commands.popleft())

    def cruise(self, senders: Sequence[Sender], tick: int, n_most: int) -> int:
        """See `CruisingWorker.cruise`."""
        phones = [sender for sender in senders if isinstance(sender, SimulatedMedia)]
        if self._worker is None or self._commands or n_most < LEAST_TICKS:
            return 0
        return self._worker.cruise(phones, tick, n_most) if len(phones) == len(senders) else 0

    @property
    def is_busy(self) -> bool:
        """Whether a tick can change anything."""
        return bool(self._commands) or any(not leg.is_closed for leg in self.legs.values())

    def _report(self, event: Any, _fds: Sequence[int] = ()) -> None:
        self._loop.call_soon(self._on_event, event, [])

    def kill_if_hung(self, now: float) -> None:
        """It cannot hang by itself."""

    async def stop(self) -> None:
        """End all legs."""
        worker, self._worker = self._worker, None
        if worker is not None:
            while self._commands:
                worker.obey(*self._commands.popleft())
            worker.close()


class InProcessKeeper(Child):
    """
    A keeper in this process: the same rows and spools, without its threads and its syncing.

    Args:
        on_message: Takes `RowFlushed`.
        on_up: Called when it is there.
    """

    def __init__(
        self, on_message: Callable[[Any, list[int]], None], on_up: Callable[[], None]
    ) -> None:
        super().__init__("", [], m.KeeperEvent, on_message, lambda: None, on_up)
        self._arenas: dict[int, Arena] = {}
        self._rows: dict[tuple[int, int], KeptRow | SealedRow] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._up = False

    @property
    def is_up(self) -> bool:
        """From `start` to `stop`."""
        return self._up

    async def start(self) -> None:
        """Be there."""
        self._up = True
        self._on_up()

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Obey."""
        match message:
            case m.WatchArena():
                self._arenas[message.worker] = Arena.open(Path(message.path))
            case m.KeepRow():
                arena, path = self._arenas[message.worker], Path(message.spool_path)
                kept = keep_row(arena, message.row, message.name, path)
                self._rows[message.worker, message.row] = kept
                if self._timer is None:
                    self._arm()
            case m.FlushRow():
                self._flush(message)

    def _flush(self, message: m.FlushRow) -> None:
        kept = self._rows.pop((message.worker, message.row), None)
        n_samples = 0
        if kept is not None and kept.name == message.name:
            n_samples = kept.complete(message.n_samples)
            kept.spool.close()
        self._arenas[message.worker].release(message.row)
        flushed = m.RowFlushed(message.worker, message.row, message.name, n_samples)
        self._loop.call_soon(self._on_message, flushed, [])

    def _pass(self) -> None:
        for kept in self._rows.values():
            kept.append_settled()
        self._timer = None
        if self._up and self._rows:
            self._arm()

    def _arm(self) -> None:
        due = self._loop.time() + PASS_INTERVAL_S
        self._timer = self._loop.call_at(round_at(due), self._pass)

    async def stop(self) -> None:
        """Be gone."""
        self._up = False
        if self._timer is not None:
            self._timer.cancel()
        for kept in self._rows.values():
            kept.spool.close()


class InProcessChildren:
    """
    Fulfils `engine.media.children.Children` without processes.

    Args:
        clock: Drives the workers.
        network: Theirs.
    """

    def __init__(self, clock: MediaClock, network: SimulatedNetwork) -> None:
        self._clock = clock
        self._network = network

    def worker(self, index: int, arguments: Sequence[str], capacity: int) -> WorkerLink:
        """See `Children.worker`."""
        return InProcessWorker(index, arguments, capacity, self._clock, self._network)

    def keeper(
        self, on_message: Callable[[Any, list[int]], None], on_up: Callable[[], None]
    ) -> Child:
        """See `Children.keeper`."""
        return InProcessKeeper(on_message, on_up)
