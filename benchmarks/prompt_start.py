"""How long it takes from a block request to the first sound of its prompt, at the phone.

    python -m benchmarks.prompt_start [--playing 50] [--rounds 30] [--characters 100]

Real calls by the built-in phone against `voiceblocks serve`, while `--playing` other calls hear
music on hold. One call asks for gather after gather, and presses a key as soon as it hears
something. The clock starts when the application begins its POST and stops when the first packet
arrives that is not silence: sound, not a packet that could be anything. `cached` is one sentence
over and over, `fresh` a new sentence of that many characters each time. Prints one line of JSON
for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.functional.calls import waiting_for_a_block
from tests.harness import Application, ServerProcess

from voiceblocks.testing.phone import Phone, PhoneCall

WORDS = (
    "please account number order delivery tomorrow morning office station because welcome thank",
    "calling minutes customer service payment balance address package appointment doctor press",
    "one two three four five six seven eight nine for the and of to in with from after",
)
SOUND_LIMIT_S = 10.0
QUIET_PACKETS = 5
"The last prompt's packets have arrived when so many were silent."


def sentence(characters: int, chance: random.Random) -> str:
    """A sentence that nobody has said before, of exactly this length."""
    words = " ".join(WORDS).split()
    text = ""
    while len(text) < characters:
        text += chance.choice(words) + " "
    return text[: characters - 1].capitalize().replace(" .", "e.") + "."


def is_silent(call: PhoneCall, index: int) -> bool:
    """Whether the packet with this index holds nothing at all."""
    return not np.any(call.media.heard[index].samples)


async def quiet(call: PhoneCall) -> int:
    """Wait until the leg is silent; returns how many packets were heard until then."""
    while True:
        n = len(call.media.heard)
        if n >= QUIET_PACKETS and all(is_silent(call, n - k - 1) for k in range(QUIET_PACKETS)):
            return n
        await asyncio.sleep(0.02)


async def first_sound(call: PhoneCall, index: int) -> float:
    """When the first packet from `index` on that is not silent arrived."""
    async with asyncio.timeout(SOUND_LIMIT_S):
        while True:
            while index < len(call.media.heard):
                if not is_silent(call, index):
                    return call.media.heard[index].at
                index += 1
            await asyncio.sleep(0.005)


async def measure(
    app: Application, call: PhoneCall, session: str, rounds: int, text: Callable[[], str]
) -> list[float]:
    """Milliseconds from the request to the sound, for each round."""
    times_ms = []
    for _ in range(rounds):
        index = await quiet(call)
        # Anywhere between two packets.
        await asyncio.sleep(random.random() * 0.02)
        msg = text()
        asked_at = time.monotonic()
        status = await app.block(
            "ivr/middle/gather", session, msg=msg, max_digits="1", notify_url=app.url()
        )
        assert status == "success_ok", status
        times_ms.append((await first_sound(call, index) - asked_at) * 1000)
        await call.media.press("1")
        await app.told(ivr_block="gather")
    return times_ms


async def listen(sip: str, calls: int) -> None:
    """The other callers, in a process of their own so that nobody waits for them."""
    async with Phone() as phone:
        for _ in range(calls):
            await phone.call(sip)
        sys.stdin.readline()


async def put_on_hold(app: Application, calls: int) -> asyncio.subprocess.Process:
    """Let so many calls hear music."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.prompt_start",
        "--listen", app.sip(), "--playing", str(calls),
        stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    for _ in range(calls):
        answer = await app.told(ivr_block="answer", call_state="ringing")
        await app.hold(answer.body["session"])
    return process


def summary(kind: str, playing: int, times_ms: list[float]) -> str:
    """One line."""
    ordered = sorted(times_ms)
    return json.dumps(
        {
            "prompt": kind,
            "calls_playing": playing,
            "rounds": len(ordered),
            "median_ms": round(statistics.median(ordered), 1),
            "p90_ms": round(ordered[int(len(ordered) * 0.9)], 1),
            "worst_ms": round(ordered[-1], 1),
        }
    )


async def main(playing: int, rounds: int, characters: int) -> None:
    """Measure both kinds."""
    chance = random.Random()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"LOG_LEVEL": "warning", "IDLE_TIMEOUT_S": "600"}
        server = await ServerProcess(Path(folder), settings).start()
        async with Application(server) as others, Application(server) as app, Phone() as phone:
            listeners = await put_on_hold(others, playing)
            call, session = await waiting_for_a_block(app, phone)
            kinds = {
                "cached": lambda: "Please enter your account number.",
                "fresh": lambda: sentence(characters, chance),
            }
            for kind, text in kinds.items():
                await measure(app, call, session, 1, text)
                times_ms = await measure(app, call, session, rounds, text)
                print(summary(kind, playing, times_ms), flush=True)
            await app.hang_up(session)
            await listeners.communicate(b"\n")
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--playing", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--characters", type=int, default=100)
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        asyncio.run(listen(options.listen, options.playing))
    else:
        asyncio.run(main(options.playing, options.rounds, options.characters))
