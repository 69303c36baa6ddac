"""Two legs that hear each other: audio by a mix in the media worker, keys one by one."""

from __future__ import annotations

import asyncio

from voiceblocks.engine.call_leg import CallLeg
from voiceblocks.engine.media.mixes import Mix
from voiceblocks.engine.media.plane import MediaPlane


class Bridge:
    """
    Connects two legs from `open` to `close`.

    Args:
        plane: Where the mix comes from.
        first: The leg that was there before; the other one comes to its worker.
        second: The leg that was dialled. May still ring, with early media.
    """

    def __init__(self, plane: MediaPlane, first: CallLeg, second: CallLeg) -> None:
        self._plane = plane
        self._first = first
        self._second = second
        self._mix: Mix | None = None
        self._relays: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """
        Let them hear each other.

        Raises:
            CapacityExceeded: If the first leg's worker has no room for the second.
        """
        first, second = self._first.media.leg, self._second.media.leg
        self._mix = self._plane.open_mix(beside=first)
        await self._mix.join(first)
        await self._mix.join(second)
        self._first.media.digits.forget()
        loop = asyncio.get_running_loop()
        self._relays = [
            loop.create_task(_relay_keys(self._first, self._second)),
            loop.create_task(_relay_keys(self._second, self._first)),
        ]

    async def until_over(self) -> None:
        """Return when either leg has ended."""
        waiting = [asyncio.ensure_future(leg.ending.wait()) for leg in (self._first, self._second)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def close(self) -> None:
        """Part them; safe to call twice."""
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        self._relays = []
        mix, self._mix = self._mix, None
        if mix is not None:
            mix.close()


async def _relay_keys(source: CallLeg, target: CallLeg) -> None:
    """
    Keys are no audio (RFC 4733, INFO), so a mix does not carry them.

    Where they are audio on both sides, it does: a second tone of ours would be a second key.
    """
    while True:
        digit = await source.next_digit()
        is_tone = digit.timestamp is not None and source.keys_are_tones
        if is_tone and target.keys_are_tones:
            continue
        target.send_digit(digit.key)
