"""What a caller hears of speech after SIP, RTP and decoding: whole, level, and understood.

```
phone                     server                      speech lane, espeak-ng
  |-- INVITE --------------->|                                 |
  |                          |-- POST answer --> application   |
  |          play (msg) <----|<-----------------               |
  |                          |------------ text -------------->|
  |                          |<----------- clip ---------------|
  |<-- 200, RTP, BYE --------|
  compared with what the synthesiser itself says, and given to a recogniser
```
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from tests.functional.calls import ringing
from tests.harness import Application
from voiceblocks.adapters.espeak import find_engine, voice_name
from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.resample import (
    SPEECH_LEVEL_DBFS,
    active_level_dbfs,
    normalise_level,
    to_telephone,
)
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

RATE_HZ = 8000
HOP = 80
WINDOW = 320
PEAK_DBFS = -3.5
MARGIN = 800
AUDIBLE_DB = 32.0
"Below the loudest frame; what is quieter is nothing to compare."

Bands = NDArray[np.float64]
"Levels in dB, `(n_frames, n_bands)`, a frame each 10 ms."

PROMPTS = [
    ("en", "male", "Please wait. We are connecting you to the next free colleague; thank you."),
    ("zh-HK", "female", "請稍等,我們正在處理您的訂單。"),
    ("de", "female", "Guten Tag! Ihre Bestellung mit der Nummer 4281 ist unterwegs."),
    ("hi", "male", "नमस्ते, कृपया टोन के बाद अपना संदेश छोड़ें।"),
]

SENTENCES = [
    "please leave a message after the tone",
    "your order has been sent this morning",
    "the doctor will see you on friday",
    "press one to speak with a person",
    "our shop is closed for the holiday",
    "your account balance is forty two dollars",
    "we could not hear your answer",
    "thank you for calling and good bye",
    "all lines are busy at the moment",
    "enter your number and press pound",
    "the train to london leaves at seven",
    "your appointment was moved to monday",
]
SPOKEN = SENTENCES[::2]


async def heard_by(app: Application, msgs: list[str], codec: str = "PCMU") -> list[Samples]:
    """What as many callers hear, each of its own `msg`, all at once."""

    async def hear(phone: Phone, msg: str) -> Samples:
        async with ringing_one:
            call, session = await ringing(app, phone, codecs=(codec,))
            assert await app.block("ivr/middle/play", session, msg=msg) == "success_ok"
        async with asyncio.timeout(30):
            await call.ended()
        return call.media.audio()

    # Who rings is told apart by order alone.
    ringing_one = asyncio.Lock()
    async with Phone() as phone:
        return list(await asyncio.gather(*(hear(phone, msg) for msg in msgs)))


def spoken(text: str, language: str, gender: str) -> Samples:
    """What the synthesiser says, brought to 8 kHz and our level, and nothing else."""
    engine = find_engine()
    assert engine is not None
    try:
        samples = to_telephone(*engine.synthesize(text, voice_name(language, gender)))
    finally:
        engine.close()
    return normalise_level(samples, SPEECH_LEVEL_DBFS, PEAK_DBFS)


def bands(samples: Samples) -> Bands:
    """Levels of eleven bands from 250 to 3250 Hz."""
    n_frames = (len(samples) - WINDOW) // HOP
    starts = np.arange(n_frames)[:, None] * HOP
    frames = samples[starts + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    # 25 Hz a bin; 275 Hz a band, so that a voice's harmonics are in each.
    grouped = power[:, 10:131].reshape(n_frames, 11, 11).sum(axis=2)
    return 10 * np.log10(grouped + 1e4)


def audible(levels: Bands) -> tuple[int, int]:
    """First frame in which something is heard, and the one after the last."""
    loudness = levels.max(axis=1)
    heard = np.flatnonzero(loudness > loudness.max() - AUDIBLE_DB)
    return int(heard[0]), int(heard[-1]) + 1


def differences(heard: Samples, reference: Samples) -> tuple[float, NDArray[np.float64]]:
    """
    Compare two spectrograms from where each begins to be heard.

    Returns:
        How much longer the heard one is, in ms; and by frame in which the reference is
        loud, how many dB its bands differ, at the median.
    """
    wanted = bands(np.pad(reference, MARGIN))
    wanted_first, wanted_last = audible(wanted)
    target = wanted[wanted_first:wanted_last]
    loud = target.max(axis=1) > target.max() - AUDIBLE_DB / 2
    first, last = audible(bands(np.pad(heard, MARGIN)))
    longer_ms = ((last - first) - len(target)) * HOP * 1000 / RATE_HZ
    best: NDArray[np.float64] | None = None
    # Where a frame begins is chance: the closest of all beginnings nearby counts.
    for shift in range(-2 * HOP, 2 * HOP, HOP // 4):
        start = MARGIN + shift % HOP
        moved = bands(np.pad(heard, (start, MARGIN + len(reference))))
        piece = moved[first + shift // HOP + (shift % HOP > 0) :][: len(target)]
        found = np.median(np.abs(piece - target), axis=1)[loud]
        if best is None or found.mean() < best.mean():
            best = found
    assert best is not None
    return longer_ms, best


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_speech_arrives_whole_and_level(app: Application, codec: str) -> None:
    """No gap, the right length and the right level: the synthesiser's own spectrum is heard."""
    msgs = [
        f'<speech language="{language}" gender="{gender}">{text}</speech>'
        for language, gender, text in PROMPTS
    ]
    for (language, gender, text), heard in zip(
        PROMPTS, await heard_by(app, msgs, codec), strict=True
    ):
        reference = await asyncio.to_thread(spoken, text, language, gender)
        longer_ms, apart_db = differences(heard, reference)
        assert abs(longer_ms) <= 20, (language, longer_ms)
        assert np.percentile(apart_db, 95) < 5, (language, np.percentile(apart_db, 95))
        assert apart_db.max() < 10, (language, apart_db.max())
        assert active_level_dbfs(heard) == pytest.approx(active_level_dbfs(reference), abs=1)
        assert active_level_dbfs(heard) == pytest.approx(SPEECH_LEVEL_DBFS, abs=1)


async def test_the_comparison_hears_a_gap() -> None:
    """Forty lost, doubled or quieter milliseconds would be seen: the test above can fail."""
    reference = await asyncio.to_thread(spoken, PROMPTS[0][2], "en", "male")
    middle = len(reference) // 3
    gap, quiet = reference.copy(), reference.copy()
    gap[middle : middle + 320] = 0
    quiet[middle : middle + 4000] //= 8
    doubled = np.insert(reference, middle, reference[middle - 320 : middle])
    assert differences(reference, reference)[1].max() < 0.1
    assert differences(gap, reference)[1].max() > 10
    assert differences(quiet, reference)[1].max() > 10
    longer_ms, apart_db = differences(doubled, reference)
    assert longer_ms > 20
    assert np.percentile(apart_db, 95) > 5


def understood(samples: Samples) -> str:
    """Which of `SENTENCES`, or which beginning of one, pocketsphinx takes it for."""
    pocketsphinx = pytest.importorskip("pocketsphinx")
    wide = soxr.resample(samples.astype(np.float64) / 32768, RATE_HZ, 2 * RATE_HZ)
    pcm = np.pad((np.clip(wide, -1, 1) * 32767).astype(np.int16), RATE_HZ // 2)
    decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL")
    choice = " | ".join(SENTENCES)
    decoder.add_jsgf_string("prompts", f"#JSGF V1.0; grammar g; public <s> = {choice} ;")
    decoder.activate_search("prompts")
    decoder.start_utt()
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


async def test_a_machine_understands_it(app: Application) -> None:
    """
    A recogniser of English takes each sentence, of twelve, for the one that was said.

    It may not reach the end of one: three words in their order are the one sentence that has them.
    """
    pytest.importorskip("pocketsphinx")
    msgs = [f'<speech language="en-US">{sentence.capitalize()}.</speech>' for sentence in SPOKEN]
    for sentence, heard in zip(SPOKEN, await heard_by(app, msgs), strict=True):
        taken_for = await asyncio.to_thread(understood, heard)
        assert len(taken_for.split()) >= 3, (sentence, taken_for)
        assert sentence.startswith(taken_for), (sentence, taken_for)
        # Played backwards it has the same sounds and level, and is not understood.
        backwards = await asyncio.to_thread(understood, heard[::-1].copy())
        assert not (len(backwards.split()) >= 3 and sentence.startswith(backwards)), backwards
