"""Measures of how well somebody heard: delay from mouth to ear, gaps, concealed audio, loss.

    delay_s = await mouth_to_ear_s(phone_a.media, phone_b.media)

    phone_a.media.repeat(voice(0, 1000))
    ...
    audio = phone_b.media.audio()
    assert not gaps(audio, 0, longer_than_ms=40)
    assert concealed_share(audio, 0) < 0.01

Delays stand on the clock of the test: the monotonic seconds at which packets left one phone
and reached the other. A packet that the busy machine handed over late does not count as delay,
since the earliest packets around it say when its timestamp was due.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE
from voiceblocks.audio.tones import edges
from voiceblocks.testing.phone_media import HeardPacket, PhoneMedia
from voiceblocks.testing.speakers import AUDIBLE_DBFS, SAMPLE_RATE_HZ, frequencies_of

BURST_MS: Final = 150
_BURST_HZ: Final = (450.0, 2950.0)
_BURST_DBFS: Final = -14.0
_FOUND: Final = 0.4
"Normalised correlation; 0.5 is left of a burst under a voice as loud as itself."

_CLOCK_WINDOW_S: Final = 0.5
_EARLY_QUANTILE: Final = 0.1
"The tenth-earliest of a hundred packets: one that came early by reordering does not decide."

_STEP = 80
"Frames of 10 ms for gaps and concealment."
_LEVEL_TOLERANCE_DB = 6.0
_PHASE_TOLERANCE = 0.6
"Radians from one frame to the next. G.711 and other tones move it by less than 0.2."
_GENUINE_MS = 60
"Audio that fits nowhere and is shorter is concealment; longer, it is the speaker again."


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a continuous tone is not heard."""

    from_ms: float
    to_ms: float

    @property
    def lasts_ms(self) -> float:
        """How long."""
        return self.to_ms - self.from_ms


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What a stream's packets tell, without their audio."""

    packets: int
    lost: int
    "Sequence numbers between first and last that never came."
    doubled: int
    out_of_order: int
    longest_pause_ms: float
    "Between two arrivals."
    jumps: int
    "Timestamps that do not follow their predecessor by its samples, where no packet was lost."


def burst(duration_ms: int = BURST_MS, *, falling: bool = False) -> Samples:
    """A sweep that `heard_at_s` finds to the sample; a falling one is told from a rising one."""
    count = duration_ms * SAMPLE_RATE_HZ // 1000
    seconds = np.arange(count) / SAMPLE_RATE_HZ
    start, end = _BURST_HZ[::-1] if falling else _BURST_HZ
    slope = (end - start) / (count / SAMPLE_RATE_HZ)
    wave = np.sin(2 * np.pi * (start + slope / 2 * seconds) * seconds) * edges(count, 40)
    return np.rint(10 ** (_BURST_DBFS / 20) * FULL_SCALE * wave).astype(np.int16)


def find_burst(samples: NDArray[np.int16], sound: Samples) -> list[int]:
    """Where a burst begins in a recording, in samples; several if it is heard several times."""
    template = sound.astype(np.float64)
    count = len(template)
    if len(samples) < count:
        return []
    signal = samples.astype(np.float64)
    size = 1 << (len(signal) + count).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(template, size))
    lags = len(signal) - count + 1
    product = np.fft.irfft(spectrum, size)[:lags]
    energy = np.concatenate([[0.0], np.cumsum(signal**2)])
    local = np.maximum(energy[count : count + lags] - energy[:lags], 100.0**2 * count / 4)
    score = product / np.sqrt(local * np.dot(template, template))
    found = []
    for lag in np.flatnonzero(score >= _FOUND):
        around = score[max(0, lag - count // 2) : lag + count // 2 + 1]
        if score[lag] == around.max():
            found.append(int(lag))
    return found


def spoken_at_s(speaker: PhoneMedia, timestamp: int) -> float:
    """When the sample with an RTP timestamp (of `PhoneMedia.utter`) left the phone."""
    return _clock([(one.at, one.timestamp) for one in speaker.sent], timestamp)


def heard_at_s(listener: PhoneMedia, sound: Samples, *, after_s: float = 0.0) -> float | None:
    """
    When the first sample of a burst arrived, in monotonic seconds; `None` if it is not heard.

    Args:
        listener: Whose recording.
        sound: Of `burst`.
        after_s: Only packets that came later.
    """
    heard = [one for one in listener.heard if one.at > after_s]
    for stream in streams(heard):
        places = find_burst(_placed(stream), sound)
        if places:
            timestamp = (stream[0].timestamp + places[0]) % 2**32
            return _clock([(one.at, one.timestamp) for one in stream], timestamp)
    return None


async def mouth_to_ear_s(
    speaker: PhoneMedia, listener: PhoneMedia, *, timeout_s: float = 5.0, falling: bool = False
) -> float:
    """
    Say a burst, and return how much later its first sample arrives than it left.

    Without the 20 ms in which a packet is filled, and without the listener's jitter buffer.

    Raises:
        TimeoutError: If it is not heard.
    """
    sound = burst(falling=falling)
    began_s = asyncio.get_running_loop().time()
    timestamp = await speaker.utter(sound)
    async with asyncio.timeout(timeout_s):
        while (  # noqa: ASYNC110 (each look searches a recording: not for every packet)
            heard_s := heard_at_s(listener, sound, after_s=began_s - 0.2)
        ) is None:
            await asyncio.sleep(0.1)
    # Packets behind it, so that both clocks are judged from both sides.
    await asyncio.sleep(_CLOCK_WINDOW_S)
    again_s = heard_at_s(listener, sound, after_s=began_s - 0.2)
    return (heard_s if again_s is None else again_s) - spoken_at_s(speaker, timestamp)


def streams(heard: Sequence[HeardPacket]) -> list[list[HeardPacket]]:
    """The packets of each SSRC, in order of its first appearance."""
    found: dict[int, list[HeardPacket]] = {}
    for packet in heard:
        found.setdefault(packet.ssrc, []).append(packet)
    return list(found.values())


def heard_audio(heard: Sequence[HeardPacket]) -> NDArray[np.int16]:
    """All that was heard, one stream after another, each packet at its timestamp."""
    return np.concatenate([np.zeros(0, np.int16), *(_placed(one) for one in streams(heard))])


def arrivals(heard: Sequence[HeardPacket]) -> Arrivals:
    """Loss, order and pauses of a single stream."""
    if not heard:
        return Arrivals(0, 0, 0, 0, 0.0, 0)
    first = heard[0].sequence
    numbers = [(one.sequence - first + 2**15) % 2**16 - 2**15 for one in heard]
    steps = np.diff(numbers)
    pauses = np.diff([one.at for one in heard])
    jumps = sum(
        step == 1 and (after.timestamp - before.timestamp) % 2**32 != len(before.samples)
        for before, after, step in zip(heard, heard[1:], steps, strict=False)
    )
    different = len(set(numbers))
    return Arrivals(
        packets=len(heard),
        lost=max(numbers) - min(numbers) + 1 - different,
        doubled=len(numbers) - different,
        out_of_order=int((steps < 0).sum()),
        longest_pause_ms=float(pauses.max()) * 1000 if len(pauses) else 0.0,
        jumps=jumps,
    )


def gaps(samples: NDArray[np.int16], speaker: int, longer_than_ms: float = 20.0) -> list[Gap]:
    """
    Where a speaker's continuous voice is missing, between its first and last sound; to 10 ms.

    Args:
        samples: 8 kHz.
        speaker: Whose `speakers.voice`.
        longer_than_ms: Shorter gaps are not told.
    """
    level, _phase, spoken = _frames(samples, speaker)
    found: list[Gap] = []
    start: int | None = None
    for frame in range(*spoken):
        silent = level[frame] < _reference(level, spoken) - _LEVEL_TOLERANCE_DB
        if silent and start is None:
            start = frame
        elif not silent and start is not None:
            found.append(Gap(start * 10.0, frame * 10.0))
            start = None
    return [gap for gap in found if gap.lasts_ms > longer_than_ms]


def longest_pause_ms(speaker: PhoneMedia, since_s: float) -> float:
    """
    The longest time between two packets that a phone sent: no gap is the server's that is shorter.

    Args:
        speaker: Who speaks without a pause.
        since_s: Monotonic seconds; what was sent before does not count.
    """
    sent = [one.at for one in speaker.sent if one.at >= since_s]
    return 1000 * max((after - before for before, after in itertools.pairwise(sent)), default=0.0)


def concealed_share(samples: NDArray[np.int16], speaker: int) -> float:
    """
    The share of a continuous voice, between its first and last sound, that is not its own.

    That is what was filled in: silence, noise, or a repetition, known by its phase. Where the
    voice goes on moved in time for 60 ms and longer, it counts as its own again.
    """
    level, phase, spoken = _frames(samples, speaker)
    first, end = spoken
    if end <= first:
        return 1.0
    reference = _reference(level, spoken)
    loud = np.abs(level[first:end] - reference) <= _LEVEL_TOLERANCE_DB
    turns = phase[first:end]
    genuine = np.zeros(len(loud), bool)
    start = 0
    for frame in range(1, len(loud) + 1):
        if frame < len(loud) and loud[frame] and loud[frame - 1]:
            moved = np.angle(np.exp(1j * (turns[frame] - turns[frame - 1])))
            if np.abs(moved).max() <= _PHASE_TOLERANCE:
                continue
        # A frame across a boundary belongs to neither side, so 10 ms are forgiven.
        if loud[start] and (frame - start) * 10 >= _GENUINE_MS - 10:
            genuine[start:frame] = True
        start = frame
    return float(1 - genuine.mean())


def _reference(level: NDArray[np.float64], spoken: tuple[int, int]) -> float:
    return float(np.median(level[spoken[0] : spoken[1]]))


def _frames(
    samples: NDArray[np.int16], speaker: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    """
    Level and phases of a speaker's tones in each 10 ms, and from where to where it speaks.

    The level is that of the softer tone, the phases (shape `(frames, 2)`) are those against
    tones that never stopped: of two since 20 ms may be a multiple of one's period. Other
    speakers must be silent.
    """
    count = len(samples) // _STEP
    both = np.array(frequencies_of(speaker))
    turns = np.exp(-2j * np.pi / SAMPLE_RATE_HZ * np.outer(np.arange(count * _STEP), both))
    product = (samples[: count * _STEP, None] * turns).reshape(count, _STEP, 2).mean(axis=1)
    softer = 2 * np.abs(product).min(axis=1) / (FULL_SCALE - 1)
    level = 20 * np.log10(np.maximum(softer, 1e-6))
    loudest = float(level.max(initial=AUDIBLE_DBFS))
    audible = np.flatnonzero(level > loudest - _LEVEL_TOLERANCE_DB)
    spoken = (int(audible[0]), int(audible[-1]) + 1) if len(audible) else (0, 0)
    return level, np.angle(product), spoken


def _placed(stream: Sequence[HeardPacket]) -> NDArray[np.int16]:
    first = stream[0].timestamp
    placed = [((one.timestamp - first + 2**31) % 2**32 - 2**31, one.samples) for one in stream]
    audio = np.zeros(max(offset + len(samples) for offset, samples in placed), np.int16)
    for offset, samples in placed:
        if offset >= 0:
            audio[offset : offset + len(samples)] = samples
    return audio


def _clock(packets: Sequence[tuple[float, int]], timestamp: int) -> float:
    """
    When a timestamp was due, by the earliest of the packets around it.

    Args:
        packets: Monotonic second and RTP timestamp of each.
        timestamp: Whose time is asked for.
    """
    offsets = [
        (
            ((stamp - timestamp + 2**31) % 2**32 - 2**31) / SAMPLE_RATE_HZ,
            at_s,
        )
        for at_s, stamp in packets
    ]
    near = [at_s - offset for offset, at_s in offsets if abs(offset) <= _CLOCK_WINDOW_S]
    return float(np.quantile(near, _EARLY_QUANTILE))
