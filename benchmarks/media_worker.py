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
import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.engine.media.lateness import EDGES_MS, share_later_than
from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane

FORMAT = Format("PCMU", 0, event_payload_type=101)
PACKET_BYTES = 172
GROUPS = 4
WARM_UP_S = 2.0
SO_RCVBUFFORCE = 33


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


def sockaddr(port: int) -> bytes:
    """A sockaddr_in of loopback."""
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return family + port.to_bytes(2, "big") + socket.inet_aton("127.0.0.1") + bytes(8)


SPEECH = (
    "Good afternoon. I am calling about the order that I placed last week, and I would like to "
    "know when it will arrive. Please call me back this evening if you can. Thank you very much."
)


def generate(ports: list[int], fd: int, seconds: float, speech: str) -> None:
    """The load: send to every port, throw away what comes back, report both counts."""
    libc = ctypes.CDLL(None, use_errno=True)
    count = len(ports)
    packets = np.full((count, PACKET_BYTES), 0x55, np.uint8)
    spoken = np.fromfile(speech, np.uint8)
    spoken = spoken[: len(spoken) // 160 * 160].reshape(-1, 160)
    words = packets.view(">u4")
    words[:, 2] = np.arange(count) + 1
    names = np.frombuffer(b"".join(map(sockaddr, ports)), np.uint8).copy()
    iovecs = (Iovec * count)()
    outgoing = (Mmsghdr * count)()
    for index in range(count):
        iovecs[index] = Iovec(packets.ctypes.data + index * PACKET_BYTES, PACKET_BYTES)
        outgoing[index].header.name = names.ctypes.data + index * 16
        outgoing[index].header.name_length = 16
        outgoing[index].header.iov = ctypes.pointer(iovecs[index])
        outgoing[index].header.iov_count = 1
    sink = np.zeros(256, np.uint8)
    sink_iovec = Iovec(sink.ctypes.data, 256)
    incoming = (Mmsghdr * 1024)()
    for message in incoming:
        message.header.iov = ctypes.pointer(sink_iovec)
        message.header.iov_count = 1
    bounds = [count * group // GROUPS for group in range(GROUPS + 1)]
    start = time.monotonic()
    sent = heard = step = 0
    latest = 0.0
    while True:
        due = start + step * 0.02 / GROUPS
        delay = due - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        latest = max(latest, time.monotonic() - due)
        if due - start >= seconds:
            break
        first, end = bounds[step % GROUPS], bounds[step % GROUPS + 1]
        frame = step // GROUPS
        words[first:end, 0] = 0x80000000 | (frame & 0xFFFF)
        words[first:end, 1] = frame * 160
        packets[first:end, 12:] = spoken[frame % len(spoken)]
        while first < end:
            done = libc.sendmmsg(fd, ctypes.byref(outgoing[first]), end - first, 0)
            if done <= 0:
                break
            first += done
            sent += done
        while True:
            got = libc.recvmmsg(fd, incoming, 1024, socket.MSG_DONTWAIT, None)
            if got <= 0:
                break
            heard += got
        step += 1
    print(json.dumps({"sent": sent, "heard": heard, "generator_late_ms": round(latest * 1e3, 1)}))


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
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, SO_RCVBUFFORCE):
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, option, 16 << 20)
    sock.bind(("127.0.0.1", 0))
    try:
        legs = []
        for _ in range(calls):
            leg = await plane.open_leg(
                host="127.0.0.1", format=FORMAT, remote=sock.getsockname(), remote_rtcp=None
            )
            leg.play([clip], loop=True)
            legs.append(leg)
        ports = ",".join(str(leg.address[1]) for leg in legs)
        arguments = ["--generate", ports, "--fd", str(sock.fileno()), "--speech", str(speech)]
        total = str(seconds + 2 * WARM_UP_S + 1)
        generator = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            *arguments,
            "--seconds",
            total,
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
    """Measure, or be the generator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 300, 600])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--generate", help=argparse.SUPPRESS)
    parser.add_argument("--without-encoder", action="store_true")
    parser.add_argument("--speech", help=argparse.SUPPRESS)
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        ports = [int(port) for port in options.generate.split(",")]
        generate(ports, options.fd, options.seconds, options.speech)
        return
    for calls in options.calls:
        measured = measure(calls, options.seconds, with_encoder=not options.without_encoder)
        print(json.dumps(asyncio.run(measured)), flush=True)


if __name__ == "__main__":
    main()
