"""An event loop whose time is arithmetic: where nothing is ready, it is the time of the next timer.

Nothing in it waits for the world. Work that belongs into threads is done at once, on the loop;
UDP goes through a `SimulatedNetwork`. So what runs on it depends on what it is told, and on
nothing else: not on the machine's load, its clock or its scheduler.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.network import SimulatedNetwork

START_S = 1000.0
"What `time` says first. Not zero, which much code takes for never."

START_UTC_US = 1_767_225_600_000_000
"2026-01-01 00:00 UTC."


RESOLUTION_S = 1e-6


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
