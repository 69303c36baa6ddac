"""Whether a media worker keeps time while prompts are spoken beside its recorded calls.

    python -m benchmarks.prompts_beside_recordings [--calls 200] [--prompts 500] [--per-second 25]

The load is that of `media_worker`: each call is sent speech, hears a prompt all the time, is
recorded, kept on disk and encoded to MP3. Beside it as many distinct sentences as `--prompts` are
rendered into an empty cache: none of them first, to compare with; then so many a second; then all
asked for at once. Prints one line of JSON for each: how late the ticks were meanwhile, how long a
prompt took from being asked for, and what the worker and the speech lane cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.bridges_and_rooms import FORMAT, GENERATOR, receiver
from benchmarks.media_worker import SPEECH, WARM_UP_S, cpu_s, quantile
from benchmarks.prompt_start import sentence
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.engine.media.lateness import share_later_than
from voiceblocks.engine.media.plane import MediaPlane

CHARACTERS = 100
REPORT_S = 1.1
"Longer than a worker waits between two of its reports."


class Load:
    """Recorded calls on one worker, with their encoder and their generator."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._work = Path(tempfile.mkdtemp(prefix="vb-bench-"))
        self._rings = Path(tempfile.mkdtemp(prefix="vb-bench-", dir="/dev/shm"))
        self._sock = receiver()
        self.pool = RenderPool(self._work / "cache", self._work / "mp3")
        self.plane = MediaPlane(
            workers=1,
            ring_dir=self._rings,
            spool_dir=self._work,
            ports=range(30_000, 34_000),
            capacity_per_worker=calls * 5 // 4 + 2,
            cname="bench",
        )
        self._generator: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when all calls are recorded and followed."""
        await asyncio.gather(self.plane.start(), self.pool.start())
        speech = (await self.pool.render_speech(SPEECH, "en", "female")).ulaw_path
        clip = self._work / "prompt"
        clip.write_bytes(np.random.default_rng(1).integers(0, 255, 80_000, np.uint8).tobytes())
        remote = self._sock.getsockname()
        legs = []
        for _ in range(self._calls):
            leg = await self.plane.open_leg(
                host="127.0.0.1", format=FORMAT, remote=remote, remote_rtcp=None
            )
            leg.play([clip], loop=True)
            legs.append(leg)
        self._generator = await asyncio.create_subprocess_exec(
            sys.executable,
            str(GENERATOR),
            *("--generate", ",".join(str(leg.address[1]) for leg in legs)),
            *("--fd", str(self._sock.fileno()), "--speech", str(speech), "--seconds", "3600"),
            pass_fds=[self._sock.fileno()],
            stdout=subprocess.DEVNULL,
        )
        await asyncio.sleep(WARM_UP_S)
        for leg in legs:
            tap = leg.record(f"bench-{leg.ident}", law="PCMU")
            self.pool.follow(tap.name, tap.spool_path)
        await asyncio.sleep(WARM_UP_S)

    async def stop(self) -> None:
        """End all, and delete what was made."""
        if self._generator is not None:
            self._generator.kill()
            await self._generator.wait()
        await asyncio.gather(self.plane.stop(), self.pool.stop())
        self._sock.close()
        shutil.rmtree(self._work)
        shutil.rmtree(self._rings)

    async def histogram(self) -> list[int]:
        """How late the worker's ticks were since it began, up to now."""
        await asyncio.sleep(REPORT_S)
        return list(self.plane.stats().workers[0].late_histogram)


async def render(pool: RenderPool, texts: list[str], per_second: float | None) -> list[float]:
    """Ask for all texts, at once or so many a second; milliseconds that each took."""

    async def one(text: str) -> float:
        begun = time.monotonic()
        await pool.render_speech(text, "en", "female")
        return (time.monotonic() - begun) * 1000

    begun = time.monotonic()
    asked = []
    for index, text in enumerate(texts):
        if per_second is not None:
            await asyncio.sleep(max(0.0, begun + index / per_second - time.monotonic()))
        asked.append(asyncio.ensure_future(one(text)))
    return await asyncio.gather(*asked)


async def phase(
    load: Load, how: str, n: int, per_second: float | None, seconds: float
) -> dict[str, object]:
    """Measure one of the three; where nothing is rendered, for `seconds`."""
    chance = random.Random(how)
    texts = list({sentence(CHARACTERS, chance) for _ in range(n)})
    pids = load.plane.stats().workers[0].pid, load.pool.lanes[1].pid
    before = await load.histogram()
    costs = [cpu_s(pid) for pid in pids if pid is not None]
    begun = time.monotonic()
    times_ms = await render(load.pool, texts, per_second)
    await asyncio.sleep(0 if texts else seconds)
    elapsed = time.monotonic() - begun
    costs = [cpu_s(pid) - cost for pid, cost in zip(pids, costs, strict=True) if pid is not None]
    late = [b - a for a, b in zip(before, await load.histogram(), strict=True)]
    return {
        "asked": how,
        "prompts": len(texts),
        "seconds": round(elapsed, 2),
        "ticks": sum(late),
        "late_p99_below_ms": quantile(late, 0.99),
        "late_p999_below_ms": quantile(late, 0.999),
        "share_later_than_5_ms": round(share_later_than(late, 5.0), 5),
        "share_later_than_20_ms": round(share_later_than(late, 20.0), 5),
        "prompt_median_ms": round(statistics.median(times_ms), 1) if times_ms else None,
        "prompt_worst_ms": round(max(times_ms), 1) if times_ms else None,
        "worker_core_percent": round(100 * costs[0] / elapsed, 1),
        "speech_lane_core_percent": round(100 * costs[1] / elapsed, 1),
    }


async def main(calls: int, prompts: int, per_second: float) -> None:
    """Measure all three."""
    load = Load(calls)
    seconds = prompts / per_second
    try:
        await load.start()
        for how, n, rate in (
            ("none", 0, None),
            (f"{per_second:g} a second", prompts, per_second),
            ("at once", prompts, None),
        ):
            measured = await phase(load, how, n, rate, seconds)
            print(json.dumps({"calls": calls, **measured}), flush=True)
    finally:
        await load.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--per-second", type=float, default=25.0)
    options = parser.parse_args()
    asyncio.run(main(options.calls, options.prompts, options.per_second))
