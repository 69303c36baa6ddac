"""The control process's side of the media processes: workers, keeper, ports and rows.

Starts one process for each worker and one keeper, starts a new one when one dies, and routes
messages between them and the handles (`handles.MediaLeg`). Runs on one asyncio loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceblocks import randomness
from voiceblocks.clock import Clock
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.children import (
    STOP_TIMEOUT_S,
    ChildProcesses,
    Children,
    WorkerLink,
    close_fds,
)
from voiceblocks.engine.media.handles import MediaLeg, Tap
from voiceblocks.engine.media.mixes import Mix, worker_for
from voiceblocks.engine.media.ports import Bind, PortPool, bound_udp
from voiceblocks.engine.media.ring import Arena, rows_for
from voiceblocks.engine.media.salvage import ARENA_SUFFIX, spool_path
from voiceblocks.errors import CapacityExceeded, ContractViolation, StartupError
from voiceblocks.system_clock import SystemClock

WATCH_INTERVAL_S = 2.0

_ARENA = 0
"The one arena that all workers share, so that a tap can move with its leg."


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """How one worker is doing."""

    index: int
    pid: int
    is_up: bool
    restarts: int
    legs: int
    latest: m.WorkerStats | None
    "What it reported last; once a second."
    late_histogram: tuple[int, ...]
    "Ticks since the start of the node by lateness; edges in `lateness.EDGES_MS`."


@dataclass(frozen=True, slots=True)
class PlaneStats:
    """How the media processes are doing."""

    workers: tuple[WorkerSnapshot, ...]
    keeper_pid: int
    keeper_is_up: bool
    rows_in_use: int
    rows: int


class MediaPlane:
    """
    All media of a node.

    Args:
        workers: Processes; one each core.
        ring_dir: On tmpfs, for the arena (82 KiB for each leg).
        spool_dir: On disk, for spools.
        ports: RTP ports; an empty range means any free ones.
        capacity_per_worker: Most legs in one worker.
        cname: Our RTCP canonical name.
        children: Makes worker and keeper; processes if omitted.
        bind: Opens the sockets of legs.
        clock: Of this machine if omitted.
    """

    def __init__(
        self,
        *,
        workers: int,
        ring_dir: Path,
        spool_dir: Path,
        ports: range,
        capacity_per_worker: int,
        cname: str,
        children: Children | None = None,
        bind: Bind = bound_udp,
        clock: Clock | None = None,
    ) -> None:
        children = children or ChildProcesses()
        self.clock = clock or SystemClock()
        self._bind = bind
        self.cname = cname
        self._spool_dir = spool_dir
        self._arena_path = ring_dir / f"taps{ARENA_SUFFIX}"
        self._n_rows = rows_for(workers * capacity_per_worker)
        self._arena: Arena | None = None
        self._free_rows: list[int] = []
        self._taps: dict[int, Tap] = {}
        self._ports = ports
        self._pools: dict[str, PortPool] = {}
        self._watchdog: asyncio.Task[None] | None = None
        self._idents = itertools.count(1)
        arguments = [str(self._arena_path), str(capacity_per_worker)]
        self._workers = [
            children.worker(index, arguments, capacity_per_worker) for index in range(workers)
        ]
        self._keeper = children.keeper(self._on_keeper_event, self._on_keeper_up)

    async def start(self) -> None:
        """
        Make the arena and start all processes. Run `salvage` before.

        Raises:
            StartupError: When there is no room for the arena, or a process does not start.
        """
        self._arena_path.parent.mkdir(parents=True, exist_ok=True)
        self._spool_dir.mkdir(parents=True, exist_ok=True)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Two sockets a leg, here and in the worker.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._arena = Arena.create(self._arena_path, self._n_rows)
        self._free_rows = list(range(self._n_rows - 1, -1, -1))
        try:
            await asyncio.gather(self._keeper.start(), *(link.start() for link in self._workers))
        except StartupError:
            await self.stop()
            raise
        self._watchdog = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            due = self.clock.monotonic() + WATCH_INTERVAL_S
            await asyncio.sleep(WATCH_INTERVAL_S)
            now = self.clock.monotonic()
            # After a stall of our own, reports may wait unread.
            if now - due < WATCH_INTERVAL_S:
                for link in self._workers:
                    link.kill_if_hung(now)

    async def stop(self) -> None:
        """Close all legs, let every tap reach its spool, end all processes."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        for link in self._workers:
            for leg in list(link.legs.values()):
                await leg.close()
        waiting = [tap.closed() for tap in self._taps.values()]
        if waiting and self._keeper.is_up:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*waiting), STOP_TIMEOUT_S)
        else:
            for coroutine in waiting:
                coroutine.close()
        await asyncio.gather(*(link.stop() for link in self._workers))
        await self._keeper.stop()
        for pool in self._pools.values():
            pool.close()
        if self._arena is not None:
            self._arena.close()
            self._arena = None
            if not self._taps:
                self._arena_path.unlink(missing_ok=True)

    async def open_leg(
        self,
        *,
        host: str,
        format: m.Format | None,  # noqa: A002 - the trade's word
        remote: tuple[str, int] | None = None,
        remote_rtcp: tuple[str, int] | None = None,
        send: bool = True,
        receive: bool = True,
        beside: MediaLeg | None = None,
    ) -> MediaLeg:
        """
        Take ports and a place in a worker, and open the leg there.

        Args:
            host: Our IPv4 address towards this peer.
            format: What was negotiated; `None` takes ports only, until `MediaLeg.update`.
            remote: Where the peer's SDP says to send.
            remote_rtcp: The same for RTCP.
            send: Whether we may send.
            receive: Whether we expect audio.
            beside: Open in this leg's worker, from the capacity kept for second legs.

        Raises:
            CapacityExceeded: When no worker has room, or no port is free.
        """
        link = self._choose(beside)
        pool = self._pools.get(host)
        if pool is None:
            pool = self._pools[host] = PortPool(self._ports, host, self._bind)
        pair, port = pool.acquire(self.clock.monotonic())
        leg = MediaLeg(self, link, self.next_ident(), pair, (host, port))
        link.legs[leg.ident] = leg
        if format is not None:
            leg.update(
                format=format, remote=remote, remote_rtcp=remote_rtcp, send=send, receive=receive
            )
        return leg

    def _choose(self, beside: MediaLeg | None) -> WorkerLink:
        if beside is not None:
            if beside.link.has_room(reserve=True):
                return beside.link
            raise CapacityExceeded("the worker of the first leg is full")
        open_links = [link for link in self._workers if link.has_room(reserve=False)]
        if not open_links:
            raise CapacityExceeded("all media workers are full")
        return min(open_links, key=lambda link: link.load)

    def open_mix(self, beside: MediaLeg | None = None) -> Mix:
        """
        Make a mix: legs that join it hear one another.

        Args:
            beside: A leg that will join, in whose worker the mix shall be.

        Raises:
            CapacityExceeded: When no worker has room.
        """
        return Mix(self.next_ident(), worker_for(self._workers, beside))

    def has_room(self) -> bool:
        """Whether some worker takes another first leg now."""
        return any(link.has_room(reserve=False) for link in self._workers)

    def stats(self) -> PlaneStats:
        """How all processes are doing."""
        workers = tuple(
            WorkerSnapshot(
                index=link.index,
                pid=link.pid,
                is_up=link.is_up,
                restarts=max(0, link.restarts),
                legs=link.load,
                latest=link.stats,
                late_histogram=tuple(link.late_histogram),
            )
            for link in self._workers
        )
        return PlaneStats(
            workers=workers,
            keeper_pid=self._keeper.pid,
            keeper_is_up=self._keeper.is_up,
            rows_in_use=len(self._taps),
            rows=self._n_rows,
        )

    # What follows is for the handles.

    def worker(self, index: int) -> WorkerLink:
        """The worker with this number."""
        return self._workers[index]

    def next_ident(self) -> int:
        """A number for a leg, source or tap, unused before."""
        return next(self._idents)

    def new_stream(self) -> m.StreamState:
        """Random starts of an RTP stream (RFC 3550 section 5.1)."""
        bits = randomness.source().getrandbits
        return m.StreamState(ssrc=bits(32), sequence=bits(15), timestamp=bits(32))

    def begin_tap(self, leg: MediaLeg, name: str, law: str, *, sealed: bool = False) -> Tap:
        """Take a row for a new tap and tell the keeper."""
        path = spool_path(self._spool_dir, name)
        if path.exists():
            raise ContractViolation(f"spool {name} exists already")
        if not self._free_rows or self._arena is None:
            raise CapacityExceeded("all recording rings are in use")
        row = self._free_rows.pop()
        self._arena.reset(row, name, law, sealed=sealed)
        tap = Tap(leg, self.next_ident(), row, name, law, path)
        self._taps[row] = tap
        self._keep(tap)
        return tap

    def _keep(self, tap: Tap) -> None:
        self._keeper.send(m.KeepRow(_ARENA, tap.row, tap.name, str(tap.spool_path), tap.law))

    def flush(self, tap: Tap, report: m.TapClosed) -> None:
        """The worker has closed a tap: complete its spool."""
        tap.on_closed(report)
        self._keeper.send(m.FlushRow(_ARENA, tap.row, tap.name, report.n_samples))

    def flush_lost(self, tap: Tap) -> None:
        """The worker of a tap is gone: keep what it had placed."""
        tap.on_closed(None)
        self._keeper.send(m.FlushRow(_ARENA, tap.row, tap.name, None))

    def _on_keeper_event(self, event: Any, fds: list[int]) -> None:
        close_fds(fds)
        tap = self._taps.get(event.row)
        if tap is None or tap.name != event.name:
            return
        del self._taps[event.row]
        self._free_rows.append(event.row)
        tap.on_flushed(event.n_samples)
        leg = tap.leg
        leg.taps.pop(tap.ident, None)
        if leg.is_closed and not leg.taps:
            leg.link.legs.pop(leg.ident, None)

    def _on_keeper_up(self) -> None:
        self._keeper.send(m.WatchArena(_ARENA, str(self._arena_path)))
        for tap in self._taps.values():
            # A keeper before this one may have left the spool anywhere.
            self._keep(tap)
            if tap.flushing is not None:
                n_samples = tap.flushing.n_samples
                self._keeper.send(m.FlushRow(_ARENA, tap.row, tap.name, n_samples))
            elif tap.is_lost:
                self._keeper.send(m.FlushRow(_ARENA, tap.row, tap.name, None))

    def forget_unopened(self, leg: MediaLeg) -> None:
        """A leg ends that its worker never heard of: its taps hold nothing."""
        for playback in leg.playbacks.values():
            playback.on_ended(completed=False)
        for tap in leg.taps.values():
            self.flush(tap, m.TapClosed(leg.ident, tap.ident, tap.row, 0, False, m.TapStats()))

    def release(self, leg: MediaLeg) -> None:
        """A leg was closed: its ports rest, and it goes when its last tap is flushed."""
        self._pools[leg.address[0]].release(leg.pair, self.clock.monotonic())
        if not leg.taps and not leg.is_moving:
            # The worker may still report the end of a source; nobody waits for it.
            for playback in leg.playbacks.values():
                playback.on_ended(completed=False)
            leg.link.legs.pop(leg.ident, None)
