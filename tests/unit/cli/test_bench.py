"""What `voiceblocks bench` makes of its measurements."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from voiceblocks.cli.bench import summary
from voiceblocks.testing.capacity import Limit, Step

GOOD = Step(
    calls=100,
    late_p99_ms=2.0,
    lost_share=0.0,
    worker_core=0.5,
    encoder_core=0.1,
    generator_core=0.1,
    encoder_lag_s=3.0,
)


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({}, Limit.NONE),
        ({"late_p99_ms": 5.0, "lost_share": 0.001, "encoder_lag_s": 8.0}, Limit.NONE),
        ({"late_p99_ms": 7.5}, Limit.TICKS_LATE),
        ({"late_p99_ms": math.inf}, Limit.TICKS_LATE),
        ({"lost_share": 0.0011}, Limit.PACKETS_LOST),
        ({"encoder_lag_s": 8.1}, Limit.ENCODER_BEHIND),
    ],
)
def test_a_step_meets_a_limit_beyond_it(change: dict[str, float], met: Limit) -> None:
    """At the limit is within it; what callers hear comes before what they wait for."""
    assert replace(GOOD, **change).met is met


def test_the_most_calls_within_the_limits_count() -> None:
    """A step that was over the limit between two that were not is a moment of the machine."""
    steps = [
        GOOD,
        replace(GOOD, calls=200, late_p99_ms=7.5),
        replace(GOOD, calls=300),
        replace(GOOD, calls=400, lost_share=0.5),
        replace(GOOD, calls=500, late_p99_ms=math.inf),
    ]
    facts = summary(steps, workers=2)
    assert (facts["calls_per_machine"], facts["calls_per_worker"]) == (300, 150)
    assert (facts["limit"], facts["limit_met_at_calls"]) == ("packets_lost", 400)
    # And it is JSON, which has no infinity.
    assert json.loads(json.dumps(facts, allow_nan=False))["steps"][4]["late_p99_ms"] is None


def test_without_a_limit_it_says_so() -> None:
    """All that the settings let in was carried."""
    facts = summary([GOOD, replace(GOOD, calls=200)], workers=2)
    assert (facts["limit"], facts["limit_met_at_calls"]) == ("none", None)
    assert facts["calls_per_machine"] == 200
