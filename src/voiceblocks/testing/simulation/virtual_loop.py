"""An event loop whose time is arithmetic: where nothing is ready, it is the time of the next timer.

Nothing in it waits for the world. Work that belongs into threads is done at once, on the loop;
UDP goes through a `SimulatedNetwork`. So what runs on it depends on what it is told, and on
nothing else: not on the machine's load, its clock or its scheduler.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.network import SimulatedNetwork

START_S = 1000.0
"What `time` says first. Not zero, which much code takes for never."

START_UTC_US = 1_767_225_600_000_000
"2026-01-01 00:00 UTC."


RESOLUTION_S = 1e-6

TICK_S = 0.01
"Of the media clock."


def time_of(tick: int) -> float:
    """Virtual seconds of a tick of the media clock."""
    return START_S + tick * TICK_S


_ROUND_S = 4.0
"Of what a node does in the background each second. Well within the ring's ten seconds."


def round_at(when_s: float) -> float:
    """
    When a background task of a node is done here that is due at `when_s`: never before.

    All such tasks are due together, and seldom, so that the stretches between them are long.
    """
    rounds = math.ceil((when_s - START_S - RESOLUTION_S) / _ROUND_S)
    return max(when_s, START_S + rounds * _ROUND_S)


class NothingLeft(RuntimeError):
    """Everything waits for something that cannot come any more: no timer is set."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    An asyncio loop on virtual time. Fulfils `clock.Clock`, too.

    Args:
        network: Carries the datagrams of endpoints that are opened on it.
    """

    def __init__(self, network: SimulatedNetwork | None = None) -> None:
        self._now_s = START_S
        self._n_timers = 0
        self._network = network
        super().__init__(_NoWaiting(self._pass_time))
        # What is due within it is due now. Far from zero, floats lie further apart than the real
        # clock's ticks, and a timer would wait for an instant that cannot be reached.
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def monotonic(self) -> float:
        """See `clock.Clock`."""
        return self._now_s

    def utc_us(self) -> int:
        """See `clock.Clock`."""
        return START_UTC_US + round((self._now_s - START_S) * 1e6)

    def _pass_time(self, timeout_s: float | None) -> None:
        if timeout_s is None:
            raise NothingLeft("nothing is left that could happen")
        if timeout_s > 0:
            self._now_s += timeout_s
            # Exactly, so that an instant does not depend on those before it.
            when = self.next_timer_s
            if when is not None and abs(when - self._now_s) < RESOLUTION_S:
                self._now_s = when

    @property
    def next_timer_s(self) -> float | None:
        """When the next timer is due; it may be a cancelled one."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return timers[0].when() if timers else None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more will be done before time passes."""
        return not self._ready and not self._stopping  # type: ignore[attr-defined]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Of timers of one instant, the one that was set first comes first."""
        self._n_timers += 1
        return self._set_timer(_Timer(when, callback, args, self, context, self._n_timers))

    def call_last_at(self, when: float, callback: Callable[..., Any]) -> asyncio.TimerHandle:
        """The same, after all others of that instant."""
        return self._set_timer(_Timer(when, callback, (), self, None, _LAST))

    def _set_timer(self, timer: _Timer) -> asyncio.TimerHandle:
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer.is_scheduled()
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call `func` now."""
        future = self.create_future()
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            future.set_exception(error)
        else:
            future.set_result(result)
        return future

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: tuple[str, int] | None = None,
        **_options: Any,
    ) -> tuple[Any, asyncio.DatagramProtocol]:
        """
        Open an endpoint of the simulated network.

        Raises:
            OSError: If the address is taken, or there is no network.
        """
        if self._network is None or local_addr is None:
            raise OSError("this loop has no network")
        return self._network.open_endpoint(protocol_factory(), local_addr)

    async def create_server(self, *_args: Any, **_options: Any) -> Any:
        """Listen to nobody: there is no TCP on a virtual clock."""
        return _NoServer()

    async def create_connection(self, *_args: Any, **_options: Any) -> Any:
        """
        Reach nobody.

        Raises:
            ConnectionRefusedError: Always.
        """
        raise ConnectionRefusedError("there is no TCP on a virtual clock")


_LAST = sys.maxsize


class _Timer(asyncio.TimerHandle):
    """A timer that has a place among those of the same instant."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Any,
        rank: int,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._at = when, rank
        self._scheduled = False

    def is_scheduled(self) -> None:
        """It is in the loop's heap."""
        self._scheduled = True

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _Timer)
        return self._at < other._at


class _NoServer:
    def close(self) -> None:
        """There is nothing to close."""


class _NoWaiting(selectors.DefaultSelector):
    """Knows the loop's own descriptors, and never looks at them: threads only append to it."""

    def __init__(self, pass_time: Callable[[float | None], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[Any]:
        self._pass_time(timeout)
        return []
