"""Several phones in one conversation: each speaks with its own voice; who hears whom?

people = {0: caller, 1: friend, 2: colleague}       # number of the voice to call
speak(people)
assert who_hears_whom(await listen(people)) == {0: {1, 2}, 1: {0, 2}, 2: {0, 1}}
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.testing.hearing import heard_audio
from voiceblocks.testing.phone_call import PhoneCall
from voiceblocks.testing.speakers import levels, voice

_POLL_S: Final = 0.05


def speak(people: Mapping[int, PhoneCall]) -> None:
    """Let each speak with the voice of its number until it is told otherwise."""
    for speaker, call in people.items():
        call.media.repeat(voice(speaker, 1000))


def be_silent(*calls: PhoneCall) -> None:
    """Let these say nothing more."""
    for call in calls:
        call.media.repeat(np.zeros(0, np.int16))


async def listen(
    people: Mapping[int, PhoneCall], *, seconds: float = 1.0, timeout_s: float = 10.0
) -> dict[int, NDArray[np.int16]]:
    """
    What each hears in the time to come.

    Args:
        people: Whose ears.
        seconds: How much audio; somebody to whom nothing is sent is waited for as long.
        timeout_s: When waiting ends, whatever was heard.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    marks = {who: len(call.media.heard) for who, call in people.items()}

    def heard(who: int) -> NDArray[np.int16]:
        return heard_audio(people[who].media.heard[marks[who] :])

    def enough(who: int) -> bool:
        packets = people[who].media.heard[marks[who] :]
        if packets:
            return sum(len(packet.samples) for packet in packets) >= 8000 * seconds
        return loop.time() - began_s >= seconds

    while (  # noqa: ASYNC110 (several phones, whose packets set no common event)
        loop.time() - began_s < timeout_s and not all(map(enough, people))
    ):
        await asyncio.sleep(_POLL_S)
    return {who: heard(who) for who in people}


def who_hears_whom(heard: Mapping[int, NDArray[np.int16]]) -> dict[int, set[int]]:
    """
    For each listener the voices that sound through most of what `listen` returned.

    Its own among them is an echo.
    """
    return {who: set(levels(samples)) if len(samples) else set() for who, samples in heard.items()}


async def until_heard(
    expected: Mapping[int, set[int]], people: Mapping[int, PhoneCall], *, timeout_s: float = 10.0
) -> None:
    """
    Listen, half a second at a time, until each hears exactly whom it should.

    Raises:
        TimeoutError: With what was heard last.
    """
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + timeout_s
    listeners = {who: people[who] for who in expected}
    while (last := who_hears_whom(await listen(listeners, seconds=0.5))) != expected:
        if loop.time() > limit_s:
            raise TimeoutError(f"heard {last}, expected {dict(expected)}")
