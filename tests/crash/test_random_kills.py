"""`kill -9` at random moments, again and again: 20 calls each, see `rounds`."""

from __future__ import annotations

import random
import secrets
import time

import numpy as np
import pytest

from tests.crash.rounds import Crowd, compare, speech
from tests.harness import ServerProcess

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

N_CALLS = 20
N_KILLS = 40
AS_LONG_AS_S = 120.0
"A slow machine gets fewer kills, at least those of one round; `make soak` has thousands."


@pytest.mark.timeout(300)
async def test_nothing_recorded_is_lost(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each recording is there and told of once, as it was said, whatever died when."""
    seed = secrets.randbelow(10**6)
    print(f"python -m benchmarks.random_kills --seed {seed}")
    chance = random.Random(seed)
    until = time.monotonic() + AS_LONG_AS_S
    async with Crowd(server, N_CALLS) as crowd:
        while crowd.kills.total() < N_KILLS and time.monotonic() < until:
            await crowd.round(chance)
    with capsys.disabled():
        print(
            f"\nseed {seed}: {crowd.kills.total()} kills, {len(crowd.lost_ms)} calls, "
            f"at most {max(crowd.lost_ms):.0f} ms lost"
        )


async def test_the_comparison_notices() -> None:
    """What is cut off is counted; a gap, a repetition and another's speech are complained of."""
    said = speech(1)
    begun = np.concatenate([np.zeros(400, np.int16), said])
    assert compare(begun[: 400 + 8000], said) == (1000.0, "")
    assert compare(said[160:8000], said) == (1000.0, "")
    gap = np.concatenate([begun[:4000], begun[4160:8000]])
    again = np.concatenate([begun[:4000], begun[3840:8000]])
    for wrong in (gap, again, speech(2)[:8000]):
        assert "is not what was said" in compare(wrong, said)[1]
