"""`voiceblocks bench`: how many calls this machine carries."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from voiceblocks.cli.bars import bar
from voiceblocks.cli.output import Json, fail, tell
from voiceblocks.errors import VoiceblocksError
from voiceblocks.server.folders import is_locked
from voiceblocks.settings import Settings, explain
from voiceblocks.testing.capacity import SETTLE_S, Capacity, Limit, Step

N_STEPS = 8
START_S = 4.0
"What starting, growing and stopping take beside the steps."
LEAST_WINDOW_S = 0.5
EARLIER_BREAKS = 2
"A machine has its moments: a step is over the limit only if it is so twice in a row."

_WORDS = {
    Limit.NONE: "no limit was met: it carries all that the settings let in",
    Limit.TICKS_LATE: "audio was sent late (more than 1 % of ticks over 5 ms)",
    Limit.PACKETS_LOST: "packets were lost at sockets (more than 0.1 %)",
    Limit.ENCODER_BEHIND: "the encoder fell behind (it is one process, and gives way to calls)",
}
HONESTLY = (
    "The load generator shares these cores, so without it there is room for more. SIP, HTTP and "
    "the database are not measured."
)


def bench(
    seconds: Annotated[
        float, typer.Option(min=10, help="How long it may take; longer steps are surer.")
    ] = 30.0,
    most: Annotated[
        int | None, typer.Option(min=10, help="Calls at most; all that the settings let in.")
    ] = None,
    as_json: Json = False,
) -> None:
    """
    Measure how many recorded calls this machine carries; the server need not run.

    The calls are audio alone: each sends and hears music, is recorded and encoded. Their
    number grows in steps until audio is late or lost, or the encoder falls behind.
    """
    if not sys.platform.startswith("linux"):
        fail(as_json, "the load generator needs Linux")
    try:
        settings = Settings()
    except ValidationError as error:
        fail(as_json, "; ".join(explain(error)))
    workers = settings.effective_media_workers
    # A fifth of a worker is kept for second legs.
    goal = min(most or sys.maxsize, workers * settings.calls_per_worker * 4 // 5)
    try:
        steps = asyncio.run(_measure(settings, goal, seconds, as_json=as_json))
    except (VoiceblocksError, OSError) as error:
        fail(as_json, f"it could not be measured: {error}")
    facts = summary(steps, workers) | {
        "server_was_running": is_locked(settings.root),
        "load_generator_shares_cores": True,
    }
    tell(as_json, facts, _sentences(facts))


async def _measure(settings: Settings, goal: int, seconds: float, *, as_json: bool) -> list[Step]:
    """Measure steps until one is too much, or all are done."""
    window_s = max(LEAST_WINDOW_S, (seconds - START_S) / N_STEPS - SETTLE_S)
    numbers = [max(1, goal * step // N_STEPS) for step in range(1, N_STEPS + 1)]
    steps: list[Step] = []
    began = time.monotonic()
    with bar("Starting", as_json=as_json, facts=True) as shown:
        task = shown.task_ids[0]
        shown.update(task, total=len(numbers))
        async with Capacity(
            workers=settings.effective_media_workers,
            most=goal,
            ports=settings.rtp_port_range,
            longest_s=2 * seconds + 60,
        ) as capacity:
            async for step in capacity.steps(numbers, window_s):
                steps.append(step)
                found = f"ticks late {step.late_p99_ms:g} ms, lost {step.lost_share:.2%}"
                shown.update(task, advance=1, description=f"{step.calls} calls", found=found)
                over = [one.met is not Limit.NONE for one in steps[-EARLIER_BREAKS:]]
                if len(over) == EARLIER_BREAKS and all(over):
                    break
                if time.monotonic() - began > 2 * seconds:
                    break
    return steps


def summary(steps: list[Step], workers: int) -> dict[str, Any]:
    """What the steps say: the most calls that broke no limit, and what the next step broke."""
    good = [step for step in steps if step.met is Limit.NONE]
    calls = max((step.calls for step in good), default=0)
    broken = next((step for step in steps if step.calls > calls), None)
    return {
        "calls_per_machine": calls,
        "calls_per_worker": calls // workers,
        "workers": workers,
        "limit": (broken.met if broken else Limit.NONE).value,
        "limit_met_at_calls": broken.calls if broken else None,
        "steps": [
            asdict(step)
            | {
                "limit": step.met.value,
                # JSON has no infinity.
                "late_p99_ms": None if math.isinf(step.late_p99_ms) else step.late_p99_ms,
            }
            for step in steps
        ],
    }


def _sentences(facts: dict[str, Any]) -> str:
    lines = [
        "This machine carries {calls_per_machine} recorded calls, {calls_per_worker} in each of "
        "{workers} media workers.".format_map(facts)
    ]
    limit, at = _WORDS[Limit(facts["limit"])], facts["limit_met_at_calls"]
    lines.append(f"With {at} calls {limit}." if at else f"{limit[0].upper()}{limit[1:]}.")
    lines += [
        f"{step['calls']:6} calls: ticks late {step['late_p99_ms'] or 'over 100'} ms (p99), lost "
        f"{step['lost_share']:.2%}; cores: workers {step['worker_core']:.2f}, encoder "
        f"{step['encoder_core']:.2f} ({step['encoder_lag_s']:.1f} s behind), load generator "
        f"{step['generator_core']:.2f}"
        for step in facts["steps"]
    ]
    lines.append(HONESTLY)
    if facts["server_was_running"]:
        lines.append("A server was running on this data folder meanwhile, and took its share too.")
    return "\n".join(lines)
