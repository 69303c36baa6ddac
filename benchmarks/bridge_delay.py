"""How long a voice takes from mouth to ear: through a bridge and a room, also with jitter.

    python -m benchmarks.bridge_delay          (about a minute and a half)

Phones, server and network are this machine's; see `voiceblocks.testing.hearing` for what the
figures mean. With jitter every packet of the speaker leaves up to 30 ms late, seeded.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.functional.calls import ringing
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess

from voiceblocks.testing.conversation import be_silent, listen, speak, until_heard
from voiceblocks.testing.hearing import concealed_share, mouth_to_ear_s
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.phone_media import PhoneMedia

BURSTS = 5
JITTER_S = 0.030
CONTINUOUS_S = 10.0


def add_jitter(media: PhoneMedia, seed: int = 1) -> None:
    """Let each packet leave later by up to `JITTER_S`; they stay in order of their numbers."""
    chance, put = random.Random(seed), media._put  # noqa: SLF001
    loop, last = asyncio.get_running_loop(), [0.0]

    def late(data: bytes) -> None:
        at = max(loop.time() + chance.uniform(0, JITTER_S), last[0])
        last[0] = at
        loop.call_at(at, send, data)

    def send(data: bytes) -> None:
        # What is still on its way when the phone has gone is lost.
        if media._transport is not None and not media._transport.is_closing():  # noqa: SLF001
            put(data)

    media._put = late  # noqa: SLF001


async def delays_ms(speaker: PhoneCall, listener: PhoneCall) -> list[float]:
    """Several measures."""
    return [1000 * await mouth_to_ear_s(speaker.media, listener.media) for _ in range(BURSTS)]


def show(name: str, found: list[float], **more: Any) -> None:
    """One line."""
    extra = "".join(f"  {key} {value}" for key, value in more.items())
    print(f"{name:<22} median {statistics.median(found):5.1f} ms  "
          f"most {max(found):5.1f} ms{extra}", flush=True)  # fmt: skip


async def measure(name: str, calls: list[PhoneCall], *, jitter: bool) -> None:
    """Delay from the first to the last, then what was concealed of a continuous voice."""
    people = dict(enumerate(calls))
    speak(people)
    await until_heard({who: set(people) - {who} for who in people}, people)
    be_silent(*calls)
    if jitter:
        add_jitter(calls[0].media)
        speak({0: calls[0]})
        await asyncio.sleep(6)
        be_silent(calls[0])
        await asyncio.sleep(0.2)
    found = await delays_ms(calls[0], calls[-1])
    speak({0: calls[0]})
    await asyncio.sleep(0.5)
    heard = await listen({1: calls[-1]}, seconds=CONTINUOUS_S, timeout_s=30)
    show(name, found, concealed=f"{100 * concealed_share(heard[1], 0):.2f} %")
    for call in calls:
        call.hang_up()
    await asyncio.gather(*(call.ended() for call in calls))


async def main() -> None:
    """Measure all four."""
    with tempfile.TemporaryDirectory() as folder:
        server = await ServerProcess(Path(folder), stderr=Path(folder) / "stderr").start()
        try:
            async with Application(server) as app, Phone() as phone, Carrier(app) as carrier:
                for jitter in (False, True):
                    number = carrier.number()
                    call, session = await ringing(app, phone)
                    await app.transfer(session, number)
                    await call.answered()
                    far = await carrier.call_to(number)
                    await far.answered()
                    await measure("bridge" + " 30 ms jitter" * jitter, [call, far], jitter=jitter)
                    calls = []
                    for _ in range(3):
                        call, session = await ringing(app, phone)
                        await app.transfer(session, "room:delay")
                        await call.answered()
                        calls.append(call)
                    await measure("room" + " 30 ms jitter" * jitter, calls, jitter=jitter)
        finally:
            await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
