"""What `voiceblocks bench` measures, with real processes: a few calls are carried and counted."""

from __future__ import annotations

import pytest

from voiceblocks.testing.capacity import Capacity

pytestmark = pytest.mark.asyncio


async def test_a_few_calls_are_carried() -> None:
    """Each step has the calls asked for; their packets arrive, and their recordings are encoded."""
    async with Capacity(workers=2, most=8, ports=range(41_000, 42_000), longest_s=60) as capacity:
        steps = [step async for step in capacity.steps([4, 8], window_s=0.8)]
        legs = [worker.legs for worker in capacity.plane.stats().workers]
        received = sum(
            worker.latest.packets_received
            for worker in capacity.plane.stats().workers
            if worker.latest is not None
        )
    assert [step.calls for step in steps] == [4, 8]
    assert legs == [4, 4]
    # Four calls for at least 1.8 s before the second step.
    assert received > 4 * 50
    # How many depends on what else the machine does; that all went would be a broken count.
    assert all(0 <= step.lost_share < 0.5 for step in steps)
    assert all(step.generator_core > 0 for step in steps)
    assert all(0 < step.encoder_lag_s < 30 for step in steps)
