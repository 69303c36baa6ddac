"""What a call costs on a virtual clock: many twenty-second calls, and one of ten minutes.

`python -m benchmarks.simulated_calls --calls 1000 --minutes 10 [--processes 1] [--profile]`

Each of the many hears a prompt from a file and the beep, speaks for some 15 s, presses `#` and is
told goodbye: 20 s from the INVITE to the BYE. They begin within `--within` virtual seconds, in
simulations in `--processes`. The speaker is looked for in a sample of the recordings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import os
import pstats
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from voiceblocks import log
from voiceblocks.client import Notification
from voiceblocks.testing.simulation.node import Options
from voiceblocks.testing.simulation.voice import Voice
from voiceblocks.testing.speakers import voice as speaker
from voiceblocks.testing.speakers import who_is_heard

SPOKEN_MS = 15_200
LOOKED_AT = 20


def many(count: int, within_s: float, seed: int) -> tuple[float, float, str]:
    """CPU seconds but for the checks, seconds of a call, and the digest of the transcript."""
    log.configure(level="error")
    began = time.process_time()
    with Voice(Options(seed=seed, calls=count + 10, credit="1000000.00")) as voice:
        welcome = voice.publish("welcome.wav", speaker(7, 2600))
        goodbye = voice.publish("goodbye.wav", speaker(8, 1200))

        def lead(told: Notification) -> object:
            ivr, url = voice.async_client.ivr, voice.notify_url
            if told.block == "answer":
                return ivr.record(told.session, url, msg=f"<url>{welcome}</url>", max_duration=60)
            return ivr.hangup(told.session, msg=f"<url>{goodbye}</url>", notify_url=url)

        async def answer(told: Notification) -> None:
            if not told.is_ended:
                await lead(told)  # type: ignore[misc]

        lasted: list[float] = []
        speech = [speaker(number, SPOKEN_MS) for number in range(5)]

        async def caller(number: int) -> None:
            await asyncio.sleep(number * within_s / count)
            since = voice.now_s
            call = await voice.call_async(from_number=f"+659{number:07d}")
            await call.waits_for_beep()
            await call.says(speech[number % 5])
            await call.presses("#")
            lasted.append(await call.phone_call.ended() - since)

        async def everybody() -> None:
            await asyncio.gather(*(caller(number) for number in range(count)))

        voice.answer_with(answer)
        voice.run(everybody())
        voice.run(voice.quiet())
        took_s = time.process_time() - began
        check(voice, count)
        return took_s, sum(lasted) / count, hashlib.sha256(voice.transcript()).hexdigest()


def check(voice: Voice, count: int) -> None:
    """Every call was recorded, and what was looked at is what was said."""
    recorded = [told for told in voice.notifications if told.record_status == "success"]
    assert len(recorded) == count, len(recorded)
    assert all(told.parameters["record_packets_lost"] == "0" for told in recorded)
    for recording in voice.recordings[:LOOKED_AT]:
        number = int((recording.notification.from_number or "0")[4:])
        assert {passage.speaker for passage in who_is_heard(recording.samples)} == {number % 5}


def long_call(minutes: float) -> tuple[float, float]:
    """CPU seconds of one long call, and the share of its ticks that were parts of a stretch."""
    with Voice(Options()) as voice:

        def answer(told: Notification) -> None:
            if told.block == "answer":
                voice.client.ivr.record(told.session, voice.notify_url, max_duration=3600)

        voice.answer_with(answer)
        speech = speaker(3, minutes * 60_000 - 2000)
        began = time.process_time()
        call = voice.call()
        call.waits_for_beep()
        call.says(speech)
        call.hangs_up()
        took_s = time.process_time() - began
        recorded_ms = int(voice.notifications[-1].parameters["record_ms"])
        assert abs(recorded_ms - len(speech) / 8) < 60, recorded_ms
        return took_s, voice.skipped_ticks / (minutes * 6000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--within", type=float, default=15.0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    log.configure(level="error")
    profile = cProfile.Profile()
    with profile if options.profile else contextlib.nullcontext():
        if options.minutes:
            took_s, share = long_call(options.minutes)
            what = f"one call of {options.minutes:g} minutes"
            print(f"{what}: {took_s:.2f} s of CPU, {share:.0%} of its ticks at once")
        if options.calls:
            shared = options.calls // options.processes
            began = time.perf_counter()
            if options.processes == 1:
                done = [many(shared, options.within, 1)]
            else:
                with ProcessPoolExecutor(options.processes) as pool:
                    jobs = [
                        pool.submit(many, shared, options.within, seed)
                        for seed in range(1, options.processes + 1)
                    ]
                    done = [job.result() for job in jobs]
            took_s = time.perf_counter() - began
            print(
                f"{shared * options.processes} calls of {done[0][1]:.1f} s in {options.processes} "
                f"process(es): {took_s:.1f} s with the checks, "
                f"{sum(one[0] for one in done):.1f} s of CPU without"
            )
            for _cpu_s, _lasted_s, digest in done:
                print(f"transcript {digest}")
    if options.profile:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
