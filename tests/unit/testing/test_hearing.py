"""Delay, gaps and concealment, measured on damage that is known."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voiceblocks.audio.g711 import ulaw_decode, ulaw_encode
from voiceblocks.testing import hearing
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.phone_media import HeardPacket, SentPacket
from voiceblocks.testing.speakers import SPEAKERS, voice

LIMIT_S = 10.0


def spoken(speaker: int = 2, duration_ms: int = 4000) -> NDArray[np.int16]:
    """A voice after G.711."""
    return ulaw_decode(ulaw_encode(voice(speaker, duration_ms))).copy()


def packets(samples: NDArray[np.int16], *, at_s: float = 100.0, ssrc: int = 1) -> list[HeardPacket]:
    """Packets of 20 ms, each exactly when it is due."""
    return [
        HeardPacket(at_s + 0.02 * n, 50 + n, 700 + 160 * n, samples[160 * n : 160 * n + 160], ssrc)
        for n in range(len(samples) // 160)
    ]


@pytest.mark.parametrize("speaker", range(SPEAKERS))
def test_an_unharmed_voice(speaker: int) -> None:
    """No gap and nothing concealed in any voice that G.711 alone has touched."""
    assert hearing.gaps(spoken(speaker), speaker) == []
    assert hearing.concealed_share(spoken(speaker), speaker) == 0.0


def test_gaps_and_their_length() -> None:
    """Gaps over the limit are told to 10 ms, shorter ones and the silence around are not."""
    samples = np.concatenate([np.zeros(4000, np.int16), spoken(), np.zeros(4000, np.int16)])
    samples[8 * 1500 : 8 * 1580] = 0
    samples[8 * 2500 : 8 * 2520] = 0
    (gap,) = hearing.gaps(samples, 2, longer_than_ms=40)
    assert (gap.from_ms, gap.to_ms) == pytest.approx((1500, 1580), abs=10)
    assert len(hearing.gaps(samples, 2, longer_than_ms=10)) == 2


@pytest.mark.parametrize("speaker", range(SPEAKERS))
@pytest.mark.parametrize("conceals", ["silence", "repetition", "noise"])
def test_the_share_that_is_concealed(speaker: int, conceals: str) -> None:
    """Ten packets of two hundred that were filled in are five percent, however they were."""
    samples = spoken(speaker)
    rng = np.random.default_rng(3)
    for packet in range(15, 195, 18):
        part = slice(160 * packet, 160 * packet + 160)
        if conceals == "silence":
            samples[part] = 0
        elif conceals == "repetition":
            samples[part] = samples[160 * packet - 160 : 160 * packet]
        else:
            samples[part] = rng.normal(0, 500, 160)
    assert hearing.concealed_share(samples, speaker) == pytest.approx(0.05, abs=0.01)


def test_a_voice_that_moved_is_its_own_again() -> None:
    """20 ms that were left out or put in once are not concealment from there to the end."""
    samples = spoken(5)
    left_out = np.delete(samples, slice(16_000, 16_160))
    assert hearing.concealed_share(left_out, 5) < 0.01
    assert hearing.concealed_share(np.zeros(8000, np.int16), 5) == 1.0


def test_the_burst_is_found_to_the_sample_under_a_voice() -> None:
    """A burst under somebody else's voice is found at its sample, a falling one is another."""
    for falling in (False, True):
        sound = hearing.burst(falling=falling)
        samples = voice(3, 3000, -20)
        samples[7777 : 7777 + len(sound)] += sound
        heard = ulaw_decode(ulaw_encode(samples))
        assert hearing.find_burst(heard, sound) == [7777]
        assert hearing.find_burst(heard, hearing.burst(falling=not falling)) == []


def test_what_the_packets_tell() -> None:
    """Loss, repetition, disorder, pauses and jumps are counted from headers alone."""
    whole = packets(spoken(), at_s=0.0)
    assert hearing.arrivals(whole).longest_pause_ms == pytest.approx(20)
    damaged = [*whole[:10], *whole[12:20], whole[19], whole[21], whole[20], *whole[22:]]
    told = hearing.arrivals(damaged)
    assert (told.lost, told.doubled, told.out_of_order, told.jumps) == (2, 1, 1, 0)
    later = [HeardPacket(one.at, one.sequence, one.timestamp + 80, one.samples) for one in whole]
    assert hearing.arrivals([*whole[:50], *later[50:]]).jumps == 1
    assert hearing.arrivals([]).packets == 0


def test_a_stream_that_changes_its_ssrc() -> None:
    """Both streams are heard, one after the other, though their timestamps are far apart."""
    samples = spoken()
    second = [
        HeardPacket(one.at, one.sequence, (one.timestamp + 2**31) % 2**32, one.samples, 2)
        for one in packets(samples)[100:]
    ]
    heard = hearing.heard_audio([*packets(samples)[:100], *second])
    assert np.array_equal(heard, samples)


@pytest.mark.parametrize("delay_ms", [0, 60])
async def test_delay_between_two_phones(delay_ms: int) -> None:
    """Between two phones it is nearly nothing; audio put off by 60 ms is 60 ms late, to 2 ms."""
    impairments = Impairments(first_timestamp=2**32 - 8000)
    async with Phone() as one, Phone() as other, asyncio.timeout(LIMIT_S):
        ours = await one.call(other.sip_uri, impairments=impairments)
        theirs = await other.incoming()
        await asyncio.gather(ours.answered(), theirs.answered(), theirs.media.talking.wait())
        emit = ours.media._put
        loop = asyncio.get_running_loop()
        ours.media._put = lambda data: loop.call_later(delay_ms / 1000, emit, data)  # type: ignore[method-assign]
        measured = [
            await hearing.mouth_to_ear_s(ours.media, theirs.media, falling=bool(turn))
            for turn in range(2)
        ]
    assert [1000 * one_s for one_s in measured] == pytest.approx([delay_ms] * 2, abs=2.0)


def test_a_phone_that_was_held_up_is_known() -> None:
    """Only pauses after the given second count, and the longest of them."""
    sent = [SentPacket(at, 0) for at in (1.0, 1.5, 1.52, 1.6, 1.62)]
    speaker: Any = SimpleNamespace(sent=sent)
    assert hearing.longest_pause_ms(speaker, 1.5) == pytest.approx(80)
    assert hearing.longest_pause_ms(speaker, 0.0) == pytest.approx(500)
    assert hearing.longest_pause_ms(speaker, 9.0) == 0
