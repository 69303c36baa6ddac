"""What a `kill -9` at a random moment costs, in milliseconds of audio.

    python -m benchmarks.random_kills [--rounds 40] [--calls 20] [--seed 1]

Each round starts `voiceblocks serve`, brings so many callers into the middle of a recording, waits
for up to 1.5 s more and kills the whole process tree, the control process or the media worker.
What must be true of every call afterwards (one recording, one notification, one charge, every
whole second in its place) is checked as in the crash tests; a call of which it is not ends the
run. Prints one line of JSON: kills by target, calls, and the audio lost (median, p99, most). The
clock is ours: on a busy machine the kill comes some milliseconds after we took the time, so
a loss may be negative.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.crash import facts
from tests.crash.victims import is_recovered, victim
from tests.harness import Application, ServerProcess

from voiceblocks.testing.phone import Phone

LONGEST_WAIT_S = 1.5
TARGETS = ("all", "server", "worker")


async def one_round(folder: Path, n_calls: int, target: str, wait_s: float) -> list[float]:
    """Kill once; returns the milliseconds that each call lost."""
    server = await ServerProcess(folder / "var", stderr=folder / "log").start()
    try:
        async with contextlib.AsyncExitStack() as opened:
            apps = [await opened.enter_async_context(Application(server)) for _ in range(n_calls)]
            phones = [await opened.enter_async_context(Phone()) for _ in range(n_calls)]
            victims = await asyncio.gather(*map(victim, apps, phones))
            await asyncio.sleep(wait_s)
            killed_at = await kill(server, target)
            lost = []
            for app, one in zip(apps, victims, strict=True):
                one.killed_at = killed_at
                told = await is_recovered(app, one)
                lost.append(one.lasted_ms - float(told.body["record_ms"]))
            return lost
    finally:
        await server.stop()


async def kill(server: ServerProcess, target: str) -> float:
    """Kill and wait until there is a server again; returns when it was, monotonic seconds."""
    pids = server.pids()
    killed_at = time.monotonic()
    if target == "all":
        server.kill_all()
        await server.gone()
        everybody = [pid for found in pids.values() for pid in found]
        await facts.until(lambda: not any(facts.is_alive(pid) for pid in everybody))
        await server.start()
    else:
        facts.kill(pids[target][0])
        if target == "server":
            await server.next_ready_line()
    return killed_at


async def measure(rounds: int, n_calls: int, seed: int) -> None:
    """Print one line."""
    chance = random.Random(seed)
    kills: Counter[str] = Counter()
    lost: list[float] = []
    for _ in range(rounds):
        target = chance.choice(TARGETS)
        kills[target] += 1
        with tempfile.TemporaryDirectory() as folder:
            wait_s = chance.uniform(0, LONGEST_WAIT_S)
            lost += await one_round(Path(folder), n_calls, target, wait_s)
    lost.sort()
    figures = {
        "kills": dict(kills),
        "calls": len(lost),
        "lost_ms": {
            "median": round(statistics.median(lost), 1),
            "p99": round(lost[int(0.99 * (len(lost) - 1))], 1),
            "most": round(lost[-1], 1),
        },
    }
    print(json.dumps(figures))


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.calls, arguments.seed))


if __name__ == "__main__":
    main()
