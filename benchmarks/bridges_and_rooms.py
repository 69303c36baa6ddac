"""Whether a media worker keeps time with gathers, bridges and a room together.

    python benchmarks/bridges_and_rooms.py [--seconds 20] [--gathers 100] [--bridges 50] [--room 8]

Gathers hear a prompt in a loop and press a key every second; each bridge and the room are mixes
whose legs all speak. Every leg is sent 50 packets a second by the generator of `media_worker`.
Prints one line of JSON: how late the ticks were, and the share of a core that the worker took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.media_worker import SO_RCVBUFFORCE, WARM_UP_S, cpu_s, quantile
from voiceblocks.engine.media.lateness import share_later_than
from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.rtp.packet import RtpPacket
from voiceblocks.rtp.telephone_event import TelephoneEvent

FORMAT = Format("PCMU", 0, event_payload_type=101)
GENERATOR = Path(__file__).with_name("media_worker.py")


def receiver() -> socket.socket:
    """A socket for one half of the load."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    sock.bind(("127.0.0.1", 0))
    return sock


async def press(sock: socket.socket, ports: list[int], seconds: float) -> int:
    """Let every gather's caller press a key each second; returns how many were pressed."""
    event = TelephoneEvent(5, True, 10, 800).serialize()
    pressed = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for index, port in enumerate(ports):
            # Out of the stream's sequence, so that the audio goes on as it was.
            packet = RtpPacket(101, 0xC000, 0x40000000 + pressed * 8000, index + 1, event)
            sock.sendto(packet.serialize(), ("127.0.0.1", port))
            pressed += 1
            await asyncio.sleep(1.0 / len(ports))
    return pressed


async def measure(gathers: int, bridges: int, room: int, seconds: float) -> dict[str, object]:
    """Run all together and return what it cost."""
    work = Path(tempfile.mkdtemp(prefix="vb-bench-"))
    rings = Path(tempfile.mkdtemp(prefix="vb-bench-", dir="/dev/shm"))
    clip, speech = work / "prompt", work / "speech"
    noise = np.random.default_rng(1).integers(0, 255, 160_000, np.uint8)
    clip.write_bytes(noise[:80_000].tobytes())
    speech.write_bytes(noise[80_000:].tobytes())
    n_legs = gathers + 2 * bridges + room
    plane = MediaPlane(
        workers=1,
        ring_dir=rings,
        spool_dir=work,
        ports=range(30_000, 34_000),
        capacity_per_worker=n_legs * 5 // 4 + 2,
        cname="bench",
    )
    await plane.start()
    sock = receiver()
    keys = 0

    def heard(_event: object) -> None:
        nonlocal keys
        keys += 1

    try:
        legs = []
        for _ in range(n_legs):
            leg = await plane.open_leg(
                host="127.0.0.1", format=FORMAT, remote=sock.getsockname(), remote_rtcp=None
            )
            legs.append(leg)
        for leg in legs[:gathers]:
            leg.play([clip], loop=True)
            leg.on_digit(heard)
        talking = legs[gathers:]
        pairs = [talking[2 * index : 2 * index + 2] for index in range(bridges)]
        mixes = []
        for group in [*pairs, talking[2 * bridges :]]:
            mix = plane.open_mix(group[0]) if group else None
            for leg in group:
                if mix is not None:
                    await mix.join(leg)
            mixes.append(mix)
        ports = [leg.address[1] for leg in legs]
        generator = await asyncio.create_subprocess_exec(
            sys.executable,
            str(GENERATOR),
            *("--generate", ",".join(map(str, ports)), "--fd", str(sock.fileno())),
            *("--speech", str(speech), "--seconds", str(seconds + 2 * WARM_UP_S)),
            pass_fds=[sock.fileno()],
            stdout=subprocess.PIPE,
        )
        await asyncio.sleep(WARM_UP_S)
        before = plane.stats().workers[0]
        cpu, at = cpu_s(before.pid), time.monotonic()
        pressed = await press(sock, ports[:gathers], seconds)
        cpu, elapsed = cpu_s(before.pid) - cpu, time.monotonic() - at
        after = plane.stats().workers[0]
        output, _ = await generator.communicate()
        for mix in mixes:
            if mix is not None:
                mix.close()
        await asyncio.sleep(0.3)
        left = [leg.left_mix for leg in talking if leg.left_mix is not None]
    finally:
        await plane.stop()
        sock.close()
        shutil.rmtree(work)
        shutil.rmtree(rings)
    histogram = [b - a for a, b in zip(before.late_histogram, after.late_histogram, strict=True)]
    return {
        "gathers": gathers,
        "bridges": bridges,
        "room": room,
        "worker_core_percent": round(100 * cpu / elapsed, 2),
        "ticks": sum(histogram),
        "late_p99_below_ms": quantile(histogram, 0.99),
        "late_p999_below_ms": quantile(histogram, 0.999),
        "share_later_than_20_ms": round(share_later_than(histogram, 20.0), 5),
        "keys_pressed": pressed,
        "keys_heard": keys,
        "delay_ms": sorted({report.delay_ms for report in left}),
        "concealed_ms_per_leg": sum(report.concealed_ms for report in left) / max(1, len(left)),
        **json.loads(output),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--gathers", type=int, default=100)
    parser.add_argument("--bridges", type=int, default=50)
    parser.add_argument("--room", type=int, default=8)
    options = parser.parse_args()
    measured = measure(options.gathers, options.bridges, options.room, options.seconds)
    print(json.dumps(asyncio.run(measured)), flush=True)


if __name__ == "__main__":
    main()
