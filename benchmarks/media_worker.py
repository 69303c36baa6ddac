"""How much of a core one media worker takes for N full-duplex, recorded calls.

    python benchmarks/media_worker.py --calls 100 300 600 [--seconds 12] [--without-encoder]

Every call is sent 50 packets of speech a second by a generator in a process of its own
(sendmmsg on one socket), hears a prompt all the time, is recorded into the ring and by the
keeper, and is encoded to MP3 as it goes on. Every MP3 is finished at the end, and must have
the length of its recording. Prints one line of JSON for each N: percent of a core per call in
the worker, tick lateness, and what was lost. On loopback a send pays for the receiving half of
the stack too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.engine.media.lateness import EDGES_MS, share_later_than
from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.testing import load_generator

FORMAT = Format("PCMU", 0, event_payload_type=101)
WARM_UP_S = 2.0
SO_RCVBUFFORCE = 33


SPEECH = (
    "Good afternoon. I am calling about the order that I placed last week, and I would like to "
    "know when it will arrive. Please call me back this evening if you can. Thank you very much."
)


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(calls: int, seconds: float, *, with_encoder: bool) -> dict[str, object]:
    """Run N calls and return what they cost."""
    work = Path(tempfile.mkdtemp(prefix="vb-bench-"))
    rings = Path(tempfile.mkdtemp(prefix="vb-bench-", dir="/dev/shm"))
    clip = work / "prompt"
    clip.write_bytes(np.random.default_rng(1).integers(0, 255, 80_000, np.uint8).tobytes())
    plane = MediaPlane(
        workers=1,
        ring_dir=rings,
        spool_dir=work,
        ports=range(30_000, 34_000),
        capacity_per_worker=calls * 5 // 4 + 2,
        cname="bench",
    )
    pool = RenderPool(work / "cache", work / "mp3")
    await asyncio.gather(plane.start(), pool.start())
    speech = (await pool.render_speech(SPEECH, "en", "female")).ulaw_path
    sock = load_generator.open_socket()
    try:
        legs = []
        for _ in range(calls):
            leg = await plane.open_leg(
                host="127.0.0.1", format=FORMAT, remote=sock.getsockname(), remote_rtcp=None
            )
            leg.play([clip], loop=True)
            legs.append(leg)
        ports = [leg.address[1] for leg in legs]
        total = seconds + 2 * WARM_UP_S + 1
        generator = await asyncio.create_subprocess_exec(
            *load_generator.command(ports, sock.fileno(), str(speech), total),
            pass_fds=[sock.fileno()],
            stdout=subprocess.PIPE,
        )
        await asyncio.sleep(WARM_UP_S)
        taps = [leg.record(f"bench-{leg.ident}", law="PCMU") for leg in legs]
        if with_encoder:
            for tap in taps:
                pool.follow(tap.name, tap.spool_path)
        encoder = pool.lanes[0].pid
        await asyncio.sleep(WARM_UP_S / 2)
        before = plane.stats()
        pid, keeper = before.workers[0].pid, before.keeper_pid
        cpu, keeper_cpu, encoder_cpu = cpu_s(pid), cpu_s(keeper), cpu_s(encoder)
        at = time.monotonic()
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - at
        cpu, keeper_cpu = cpu_s(pid) - cpu, cpu_s(keeper) - keeper_cpu
        encoder_cpu = cpu_s(encoder) - encoder_cpu
        after = plane.stats()
        for tap in taps:
            tap.close()
        results = await asyncio.gather(*(tap.closed() for tap in taps))
        output, _ = await generator.communicate()
        wrong = 0
        if with_encoder:
            for tap, result in zip(taps, results, strict=True):
                mp3 = await pool.finish(tap.name, tap.spool_path, result.n_samples)
                wrong += len(soundfile.read(mp3.path)[0]) != result.n_samples
        for leg in legs:
            await leg.close()
    finally:
        await asyncio.gather(plane.stop(), pool.stop())
        sock.close()
        shutil.rmtree(work)
        shutil.rmtree(rings)
    histogram = [
        b - a
        for a, b in zip(
            before.workers[0].late_histogram, after.workers[0].late_histogram, strict=True
        )
    ]
    return {
        "calls": calls,
        "worker_core_percent": round(100 * cpu / elapsed, 2),
        "worker_core_percent_per_call": round(100 * cpu / elapsed / calls, 4),
        "keeper_core_percent": round(100 * keeper_cpu / elapsed, 2),
        "encoder_core_percent": round(100 * encoder_cpu / elapsed, 2),
        "mp3_of_wrong_length": wrong if with_encoder else None,
        "ticks": sum(histogram),
        "late_p99_below_ms": quantile(histogram, 0.99),
        "late_p999_below_ms": quantile(histogram, 0.999),
        "share_later_than_5_ms": round(share_later_than(histogram, 5.0), 5),
        "share_later_than_20_ms": round(share_later_than(histogram, 20.0), 5),
        "packets_lost": sum(result.stats.packets_lost for result in results),
        "packets_late": sum(result.stats.packets_late for result in results),
        "absent_ms": sum(result.stats.absent_ms for result in results),
        "packets_recorded": sum(result.stats.packets_received for result in results),
        **json.loads(output),
    }


def quantile(histogram: list[int], share: float) -> float | str:
    """The upper edge of the bin that holds this quantile."""
    total = 0
    for edge, count in zip([*EDGES_MS, float("inf")], histogram, strict=True):
        total += count
        if total >= share * sum(histogram):
            return edge if edge != float("inf") else "more"
    return "more"


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 300, 600])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--without-encoder", action="store_true")
    options = parser.parse_args()
    for calls in options.calls:
        measured = measure(calls, options.seconds, with_encoder=not options.without_encoder)
        print(json.dumps(asyncio.run(measured)), flush=True)


if __name__ == "__main__":
    main()
