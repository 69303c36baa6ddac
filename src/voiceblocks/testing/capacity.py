"""How many calls this machine carries: the media plane under a load that grows until it is late.

Every call is one as the main job has it: it sends and hears music all the time, is
recorded and encoded as it goes on. SIP, HTTP and the database are not in it. The load generator
runs on the same machine and takes its share of the cores, so what is found is the least that the
machine carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from voiceblocks.adapters.mp3_encoder import BIT_RATE_KBPS
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.engine.media.lateness import EDGES_MS
from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.testing import load_generator

LATE_LIMIT_MS: Final = 5.0
"Ticks later than this at the 99th percentile are heard (`benchmarks/RESULTS.md`)."
LOST_LIMIT: Final = 0.001
LAG_LIMIT_S: Final = 8.0
"Four are well: a look each second, half a second behind, and what a file keeps in memory."

SETTLE_S: Final = 1.0
"After a step, before it is measured: new legs and recordings are not the load."

_FORMAT = Format("PCMU", 0, event_payload_type=101)


class Limit(StrEnum):
    """What a step met."""

    NONE = "none"
    TICKS_LATE = "ticks_late"
    PACKETS_LOST = "packets_lost"
    ENCODER_BEHIND = "encoder_behind"


@dataclass(frozen=True, slots=True)
class Step:
    """What was measured with so many calls."""

    calls: int
    late_p99_ms: float
    "Upper edge of the bin; infinite beyond the last."
    lost_share: float
    "Of all packets of this machine, in either direction, for want of room at a socket."
    worker_core: float
    "Cores that all media workers took together."
    encoder_core: float
    generator_core: float
    encoder_lag_s: float
    "How far the MP3s are behind the recordings, at the mean."

    @property
    def met(self) -> Limit:
        """The first limit that it broke."""
        if self.late_p99_ms > LATE_LIMIT_MS:
            return Limit.TICKS_LATE
        if self.lost_share > LOST_LIMIT:
            return Limit.PACKETS_LOST
        return Limit.ENCODER_BEHIND if self.encoder_lag_s > LAG_LIMIT_S else Limit.NONE


class Capacity:
    """
    A media plane and its load.

    Args:
        workers: Media workers, as the server would have them.
        most: Calls that will be asked for at most.
        ports: UDP ports that it may use.
        longest_s: The load ends by itself after so long.
    """

    def __init__(self, *, workers: int, most: int, ports: range, longest_s: float) -> None:
        self._most = most
        self._longest_s = longest_s
        self._work = Path(tempfile.mkdtemp(prefix="voiceblocks-bench-"))
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (made by mkdtemp)
        self._rings = Path(tempfile.mkdtemp(prefix="voiceblocks-bench-", dir=memory))
        self.plane = MediaPlane(
            workers=workers,
            ring_dir=self._rings,
            spool_dir=self._work,
            ports=ports,
            # A fifth is kept for second legs.
            capacity_per_worker=most * 5 // 4 // workers + 8,
            cname="bench",
        )
        "What is loaded."
        self._render = RenderPool(self._work / "cache", self._work / "mp3")
        self._calls = 0
        self._began: list[tuple[int, float]] = []
        "How many recordings began when."
        self._generators: list[asyncio.subprocess.Process] = []
        self._sockets: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        """Start the processes."""
        await asyncio.gather(self.plane.start(), self._render.start())
        # Our own, since speech needs an engine that may not be there.
        self._heard = (await self._render.hold_music()).ulaw_path
        return self

    async def __aexit__(self, *_error: object) -> None:
        """End everything; what was recorded is thrown away."""
        for generator in self._generators:
            with contextlib.suppress(ProcessLookupError):
                generator.kill()
            await generator.communicate()
        for opened in self._sockets:
            opened.close()
        await asyncio.gather(self.plane.stop(), self._render.stop())
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)
        await asyncio.to_thread(shutil.rmtree, self._rings, ignore_errors=True)

    async def steps(self, calls: Sequence[int], window_s: float) -> AsyncIterator[Step]:
        """Grow to each number of calls in turn, and measure each for so long."""
        for number in calls:
            await self._grow(number)
            await asyncio.sleep(SETTLE_S)
            yield await self._measure(window_s)

    async def _grow(self, calls: int) -> None:
        opened = load_generator.open_socket()
        self._sockets.append(opened)
        legs = []
        for _ in range(calls - self._calls):
            leg = await self.plane.open_leg(
                host="127.0.0.1", format=_FORMAT, remote=opened.getsockname(), remote_rtcp=None
            )
            leg.play([self._heard], loop=True)
            legs.append(leg)
        ports = [leg.address[1] for leg in legs]
        command = load_generator.command(ports, opened.fileno(), str(self._heard), self._longest_s)
        generator = await asyncio.create_subprocess_exec(
            *command, pass_fds=[opened.fileno()], stdout=subprocess.DEVNULL
        )
        self._generators.append(generator)
        for leg in legs:
            tap = leg.record(f"bench-{leg.ident}", law="PCMU")
            self._render.follow(tap.name, tap.spool_path)
        self._began.append((len(legs), time.monotonic()))
        self._calls = calls

    async def _measure(self, window_s: float) -> Step:
        before, lost, at = self._histogram(), _lost_at_sockets(), time.monotonic()
        cpu = self._cpu_s()
        await asyncio.sleep(window_s)
        elapsed = time.monotonic() - at
        cores = [(now - then) / elapsed for now, then in zip(self._cpu_s(), cpu, strict=True)]
        late = [b - a for a, b in zip(before, self._histogram(), strict=True)]
        packets = 2 * self._calls * load_generator.PACKETS_PER_S * elapsed
        workers, encoder, generators = cores
        return Step(
            calls=self._calls,
            late_p99_ms=_p99_ms(late),
            lost_share=(_lost_at_sockets() - lost) / packets,
            worker_core=workers,
            encoder_core=encoder,
            generator_core=generators,
            encoder_lag_s=self._encoder_lag_s(),
        )

    def _histogram(self) -> list[int]:
        """Ticks of all workers by lateness."""
        columns = zip(*(w.late_histogram for w in self.plane.stats().workers), strict=True)
        return [sum(column) for column in columns]

    def _encoder_lag_s(self) -> float:
        """What was recorded less what is in the files, by their size, a recording."""
        now = time.monotonic()
        recorded_s = sum(count * (now - began) for count, began in self._began)
        written = sum(part.stat().st_size for part in (self._work / "mp3").iterdir())
        return (recorded_s - written * 8 / (1000 * BIT_RATE_KBPS)) / self._calls

    def _cpu_s(self) -> tuple[float, float, float]:
        """Processor time of workers, encoder and generators."""
        workers = [worker.pid for worker in self.plane.stats().workers]
        generators = [generator.pid for generator in self._generators]
        encoder = self._render.lanes[0].pid
        return _cpu_of(workers), _cpu_of([encoder] if encoder else []), _cpu_of(generators)


def _p99_ms(histogram: Sequence[int]) -> float:
    """The upper edge of the bin with the 99th percentile."""
    wanted, total = 0.99 * sum(histogram), 0
    for edge, count in zip((*EDGES_MS, float("inf")), histogram, strict=True):
        total += count
        if total >= wanted:
            return edge
    return float("inf")


def _cpu_of(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _lost_at_sockets() -> int:
    """UDP packets for which a socket of this machine had no room, since it was started."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    names, values = (line for line in lines if line[0] == "Udp:")
    return int(values[names.index("RcvbufErrors")])
