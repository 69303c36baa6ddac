"""What `kill -9` at random moments costs, in milliseconds of audio; and whether anything is lost.

    python -m benchmarks.random_kills [--kills 40] [--calls 20] [--seed 1]     (make soak: 4000)

One server is killed and started again in rounds of so many calls, see `tests/crash/rounds.py`, and
each call is looked at as it says there. What is not as promised ends the run with a sentence; the
seed gives the same habits, targets and moments again, as far as a machine can. Prints one line of
JSON: rounds, kills by target, calls, and the audio lost (median, p99, most): what had left a phone
when the server died, and is not in the recording. A key that was seen late makes it negative.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from pathlib import Path

from tests.crash.facts import free_address
from tests.crash.rounds import Crowd
from tests.harness import ServerProcess

ROUNDS_OF_A_SERVER = 50
"Then a new one: no data folder grows for hours."


async def some_rounds(folder: Path, crowd_size: int, n_kills: int, chance: random.Random) -> Crowd:
    """Kill one server so often, or in `ROUNDS_OF_A_SERVER`; returns what came of it."""
    server = ServerProcess(
        folder / "var", http=free_address(), sip=free_address(), stderr=folder / "log"
    )
    await server.start()
    try:
        async with Crowd(server, crowd_size) as crowd:
            for _ in range(ROUNDS_OF_A_SERVER):
                await crowd.round(chance)
                if crowd.kills.total() >= n_kills:
                    break
            return crowd
    finally:
        await server.stop()


async def measure(n_kills: int, n_calls: int, seed: int) -> None:
    """Print one line."""
    chance = random.Random(seed)
    crowds: list[Crowd] = []
    while (left := n_kills - sum(crowd.kills.total() for crowd in crowds)) > 0:
        with tempfile.TemporaryDirectory() as folder:
            crowds.append(await some_rounds(Path(folder), n_calls, left, chance))
    lost = sorted(ms for crowd in crowds for ms in crowd.lost_ms)
    targets = sorted({target for crowd in crowds for target in crowd.kills})
    figures = {
        "rounds": len(lost) // n_calls,
        "kills": {target: sum(crowd.kills[target] for crowd in crowds) for target in targets},
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
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.kills, arguments.calls, arguments.seed))


if __name__ == "__main__":
    main()
