"""Phones that talk in pairs, on addresses of their own; keys as tones."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from voiceblocks.audio.g711 import alaw_decode, alaw_encode
from voiceblocks.testing.answering import Answer
from voiceblocks.testing.conversation import be_silent, listen, speak, until_heard, who_hears_whom
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.keypad import keypad, keys_heard
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.tone_code import encode_seconds

LIMIT_S = 15.0


async def test_each_of_two_pairs_hears_the_other_one() -> None:
    """Of four phones in two calls each hears its partner alone; who falls silent is not heard."""
    async with Phone() as phone, FakeTrunk("127.7.0.9") as trunk, asyncio.timeout(LIMIT_S):
        trunk.route("+65", Answer())
        people = {}
        for pair in range(2):
            number = f"+659111000{pair}"
            ours = await phone.call(f"sip:{number}@{trunk.address}")
            await ours.answered()
            people |= {2 * pair: ours, 2 * pair + 1: await trunk.incoming(LIMIT_S, number)}
        speak(people)
        await until_heard({0: {1}, 1: {0}, 2: {3}, 3: {2}}, people)
        be_silent(people[3])
        await until_heard({2: set()}, people)
        heard = await listen(people, seconds=0.5)
        assert who_hears_whom(heard) == {0: {1}, 1: {0}, 2: set(), 3: {2}}
        assert all(len(samples) >= 4000 for samples in heard.values())
        with pytest.raises(TimeoutError, match="expected"):
            await until_heard({0: {5}}, people, timeout_s=0.1)


async def test_a_phone_without_telephone_event_presses_keys_in_its_audio() -> None:
    """No telephone-event is agreed, and the other side hears the tones."""
    async with Phone(telephone_event=False) as one, Phone() as other, asyncio.timeout(LIMIT_S):
        ours = await one.call(other.sip_uri)
        theirs = await other.incoming(LIMIT_S)
        await asyncio.gather(ours.answered(), theirs.answered(), theirs.media.talking.wait())
        assert b"telephone-event" not in ours.offer
        await ours.media.say(keypad("12#"))
        while keys_heard(theirs.media.audio()) != "12#":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert not theirs.media.digits_heard


@pytest.mark.parametrize("twist_db", [-6.0, 0.0, 4.0])
@pytest.mark.parametrize("on_ms", [60, 100, 300])
def test_all_keys(on_ms: int, twist_db: float) -> None:
    """Each key is read back after G.711, doubled ones too; tone code holds none."""
    keys = "1234567890*#ABCD5566"
    samples = keypad(keys, on_ms=on_ms, off_ms=60, twist_db=twist_db)
    assert keys_heard(alaw_decode(alaw_encode(samples))) == keys
    assert keys_heard(encode_seconds(0, 8)) == ""
    assert keys_heard(np.zeros(0, np.int16)) == ""
    with pytest.raises(ValueError, match="no key"):
        keypad("x")
