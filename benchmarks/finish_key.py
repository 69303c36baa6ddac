"""How long it takes from the caller's `#` to the application's notification.

    python -m benchmarks.finish_key [--calls 12] [--seconds 5 120 1800]

Real calls by the built-in phone against `voiceblocks serve`: all callers of one length speak
at the same time and press `#` half a second after one another. The clock starts when the
first telephone-event packet leaves the phone and stops when the POST reaches the application;
in between lie the settled audio, the MP3's last second, the store, a synced transaction and
the request. Prints one line of JSON for each length.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from tests.harness import Application, ServerProcess

from voiceblocks.audio.tones import tone
from voiceblocks.testing.phone import Phone

APART_S = 0.5
PTIME_S = 0.02


async def one_call(server: ServerProcess, seconds: int, index: int) -> float:
    """Record one message and return the milliseconds from key to notification."""
    async with Application(server) as app, Phone() as phone:
        call = await phone.call(app.sip())
        answer = await app.told(ivr_block="answer")
        await app.record(answer.body["session"], max_duration=str(seconds + 600))
        await call.answered()
        await call.media.beep_ended()
        call.media.say(tone((440.0, 1000.0), seconds * 1000, -15))
        await asyncio.sleep(seconds + index * APART_S)
        pressed_at = await call.media.press("#") + PTIME_S
        told = await app.sink.next(30, ivr_block="record")
        assert told.body["record_status"] == "success"
        return (told.at_s - pressed_at) * 1000


async def main() -> None:
    """Measure each length."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--calls", type=int, default=12)
    arguments.add_argument("--seconds", type=int, nargs="+", default=[5, 120])
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = await ServerProcess(Path(folder), {"LOG_LEVEL": "warning"}).start()
        for seconds in chosen.seconds:
            times_ms = await asyncio.gather(
                *(one_call(server, seconds, index) for index in range(chosen.calls))
            )
            print(
                json.dumps(
                    {
                        "message_s": seconds,
                        "calls": chosen.calls,
                        "median_ms": round(statistics.median(times_ms), 1),
                        "worst_ms": round(max(times_ms), 1),
                    }
                ),
                flush=True,
            )
        await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
