"""The media processes as the control process holds them: started, greeted, started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.lateness import N_BINS
from voiceblocks.errors import StartupError

if TYPE_CHECKING:
    from voiceblocks.engine.media.handles import MediaLeg

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
RESTART_DELAY_S = 1.0
"A process that died within its first second is started again only after this."

HUNG_AFTER_S = 15.0
"A worker reports every second; one that is silent for so long is killed and started again."

FIRST_LEG_SHARE = 0.8
"The rest of each worker's capacity is kept for second legs (decision 14)."


def close_fds(fds: Sequence[int]) -> None:
    """Close descriptors that came with a message."""
    for fd in fds:
        os.close(fd)


class Child:
    """One media process that is started again whenever it dies."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        incoming: Any,
        on_message: Callable[[Any, list[int]], None],
        on_lost: Callable[[], None],
        on_up: Callable[[], None],
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._incoming = incoming
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_up = on_up
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: ipc.AsyncChannel[Any] | None = None
        self._hello: asyncio.Future[None] | None = None
        self._started_at = 0.0
        self._is_greeted = False
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.pid = 0

    @property
    def is_up(self) -> bool:
        """Whether the process takes commands."""
        return self._channel is not None and self._channel.is_open and self._is_greeted

    async def start(self) -> None:
        """
        Start the process and wait for its greeting.

        Raises:
            StartupError: When it does not greet in time, or speaks another version.
        """
        self._hello = asyncio.get_running_loop().create_future()
        self._is_greeted = False
        self._started_at = time.monotonic()
        try:
            self._process, sock = ipc.spawn(self._module, *self._arguments)
        except OSError as error:
            # No process, memory or descriptor left just now.
            raise StartupError(f"{self._module} cannot be started") from error
        self._channel = ipc.AsyncChannel(sock, self._incoming, self._receive, self._lost)
        try:
            await asyncio.wait_for(asyncio.shield(self._hello), START_TIMEOUT_S)
        except (TimeoutError, StartupError) as error:
            # Its end is no further loss: who started it tries again, or gives up.
            self._channel.close()
            if isinstance(error, StartupError):
                raise
            raise StartupError(f"{self._module} does not start") from None
        self._is_greeted = True
        self._on_up()

    def send(self, message: Any, fds: Sequence[int] = ()) -> None:
        """Queue a command; dropped while the process is down, or has not greeted yet."""
        if self._channel is not None and self._is_greeted:
            self._channel.send(message, fds)

    def _receive(self, message: Any, fds: list[int]) -> None:
        if isinstance(message, m.Hello):
            self.pid = message.pid
            if self._hello is not None and not self._hello.done():
                if message.version == m.PROTOCOL_VERSION:
                    self._hello.set_result(None)
                else:
                    self._hello.set_exception(StartupError(f"{self._module} is another version"))
        else:
            self._on_message(message, fds)

    def _lost(self) -> None:
        self._is_greeted = False
        if self._hello is not None and not self._hello.done():
            # `start` is waiting, and says so to its caller.
            self._hello.set_exception(StartupError(f"{self._module} died at its start"))
            self._hello.exception()
            return
        self._on_lost()
        if not self._stopping:
            task = asyncio.get_running_loop().create_task(self._restart())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _restart(self) -> None:
        await self._reap()
        while not self._stopping:
            if time.monotonic() - self._started_at < RESTART_DELAY_S:
                await asyncio.sleep(RESTART_DELAY_S)
            try:
                await self.start()
            except StartupError:
                await self._reap()
            else:
                return

    def kill(self) -> None:
        """Kill the process; it is started again."""
        if self._process is not None:
            self._process.kill()

    async def _reap(self) -> None:
        process = self._process
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        """Let the process finish its work and exit; kill it when it takes too long."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        process, channel = self._process, self._channel
        if channel is not None:
            channel.send(m.Shutdown())
        if process is not None:
            try:
                await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                await self._reap()
        if channel is not None:
            channel.close()


class WorkerLink(Child):
    """One worker and the legs in it."""

    def __init__(self, index: int, arguments: Sequence[str], capacity: int) -> None:
        super().__init__(
            "voiceblocks.engine.media.worker",
            arguments,
            m.WorkerEvent,
            self._on_event,
            self._on_gone,
            self._on_ready,
        )
        self.index = index
        self.capacity = capacity
        self.legs: dict[int, MediaLeg] = {}
        self.arriving = 0
        "Legs on their way here."
        self.closing: dict[int, Callable[[m.LegClosed], None]] = {}
        "Who waits for the counters of a leg that was told to close."
        self.stats: m.WorkerStats | None = None
        self.heard_at = 0.0
        self.late_histogram = [0] * N_BINS
        self.restarts = -1

    @property
    def load(self) -> int:
        """Legs here and on their way."""
        return self.arriving + sum(not leg.is_closed for leg in self.legs.values())

    def has_room(self, *, reserve: bool) -> bool:
        """Whether one more leg may come; `reserve` opens the part kept for second legs."""
        share = 1.0 if reserve else FIRST_LEG_SHARE
        return self.is_up and self.load < max(1, int(self.capacity * share))

    def _on_event(self, event: Any, fds: list[int]) -> None:
        if isinstance(event, m.WorkerStats):
            self.stats = event
            self.heard_at = time.monotonic()
            for index, count in enumerate(event.late_histogram):
                self.late_histogram[index] += count
            return
        if isinstance(event, m.LegClosed):
            told = self.closing.pop(event.leg, None)
            if told is not None:
                told(event)
            return
        leg = self.legs.get(event.leg)
        if leg is not None and isinstance(event, m.LegDetached):
            leg.on_detached(event.state, fds)
        elif leg is not None:
            leg.on_event(event)
        close_fds(fds)

    def _on_gone(self) -> None:
        legs, self.legs = self.legs, {}
        self.closing.clear()
        for leg in legs.values():
            leg.on_worker_lost()

    def _on_ready(self) -> None:
        self.restarts += 1
        self.heard_at = time.monotonic()

    def kill_if_hung(self, now: float) -> None:
        """For a watchdog that runs on time itself."""
        if self.is_up and now - self.heard_at > HUNG_AFTER_S:
            self.heard_at = now
            self.kill()


class Children(Protocol):
    """Makes what the plane starts; processes, except in a simulation."""

    def worker(self, index: int, arguments: Sequence[str], capacity: int) -> WorkerLink:
        """A worker that is not started yet."""
        ...

    def keeper(
        self, on_message: Callable[[Any, list[int]], None], on_up: Callable[[], None]
    ) -> Child:
        """The keeper, not started yet."""
        ...


class ChildProcesses:
    """Fulfils `Children` with processes."""

    def worker(self, index: int, arguments: Sequence[str], capacity: int) -> WorkerLink:
        """See `Children.worker`."""
        return WorkerLink(index, arguments, capacity)

    def keeper(
        self, on_message: Callable[[Any, list[int]], None], on_up: Callable[[], None]
    ) -> Child:
        """See `Children.keeper`."""
        module = "voiceblocks.engine.media.keeper"
        return Child(module, [], m.KeeperEvent, on_message, lambda: None, on_up)
