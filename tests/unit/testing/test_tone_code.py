"""The tone code names each kind of damage, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceblocks.adapters.mp3_encoder import Mp3Writer
from voiceblocks.audio.codecs import CODECS, Codec
from voiceblocks.audio.g711 import Samples
from voiceblocks.testing.tone_code import (
    LEVEL_DBFS,
    SECONDS,
    check,
    decode_seconds,
    encode_seconds,
    expected_seconds,
    explain,
    tones_of,
)

TEN = encode_seconds(0, 10)


def milliseconds(first: int, last: int) -> slice:
    """The samples of a span of time."""
    return slice(first * 8, last * 8)


def through_mp3(samples: Samples, folder: Path) -> Samples:
    """Encode as our recordings are, and decode."""
    writer = Mp3Writer(folder / "x.mp3")
    writer.write(samples)
    writer.finish()
    decoded, _rate = soundfile.read(io.BytesIO((folder / "x.mp3").read_bytes()), dtype="int16")
    return np.asarray(decoded, np.int16)


def lose(samples: Samples, pattern: list[bool]) -> Samples:
    """Replace the 20 ms packets with True by silence; the pattern is repeated."""
    packets = samples.reshape(-1, 160).copy()
    packets[np.resize(np.array(pattern), len(packets))] = 0
    return packets.reshape(-1)


def test_seconds_differ() -> None:
    """All pairs are different, neighbours share no tone, and the length is exact."""
    pairs = [tones_of(second) for second in range(SECONDS)]
    assert len(set(pairs)) == SECONDS >= 120
    for before, after in zip(pairs, pairs[1:] + pairs[:1], strict=True):
        assert not set(before) & set(after)
    assert TEN.shape == (80_000,)


def test_every_second_is_known_and_in_place() -> None:
    """Clean audio of all seconds gives no complaint, exact starts and full levels."""
    heard = decode_seconds(encode_seconds(0, SECONDS))
    assert explain(heard, expected_seconds(0, SECONDS)) == []
    assert [(one.second_index, one.starts_at_ms) for one in heard] == [
        (second, 1000.0 * second) for second in range(SECONDS)
    ]
    for one in heard:
        assert one.level_dbfs == pytest.approx(LEVEL_DBFS + 3, abs=0.1)
        assert one.heard_ms == pytest.approx(890, abs=10)


def test_the_code_repeats_after_its_last_second() -> None:
    """Second 256 is second 0 again, in the audio and in what is expected."""
    assert check(encode_seconds(SECONDS - 2, 4), SECONDS - 2, 4) == []


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_g711_mp3_and_loss_together_do_no_harm(codec: Codec, tmp_path: Path) -> None:
    """Through G.711 with every 20th packet lost, then MP3: each second within 3 ms."""
    audio = encode_seconds(50, 60)
    for start in range(0, 20, 3):
        pattern = [position == start for position in range(20)]
        damaged = codec.decode(codec.encode(lose(audio, pattern)))
        heard = decode_seconds(through_mp3(damaged, tmp_path))
        assert explain(heard, expected_seconds(50, 60), tolerance_ms=3) == []


@given(st.lists(st.booleans(), min_size=50, max_size=50), st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_lost_packets_never_move_a_second(lost: list[bool], first: int) -> None:
    """Whatever is replaced by silence, what is still found by its sweep is in its place."""
    # Half of the packets of the pattern at most, so that something is left.
    pattern = [one and position % 2 == 0 for position, one in enumerate(lost)]
    heard = decode_seconds(lose(encode_seconds(first, 3), pattern))
    allowed = {(first + offset) % SECONDS: 1000.0 * offset for offset in range(3)}
    for one in heard:
        assert one.starts_at_ms == pytest.approx(allowed[one.second_index], abs=3)


@pytest.mark.parametrize("shift_ms", [-300, -25, -7, 7, 25, 1000])
def test_a_shift_is_named(shift_ms: int) -> None:
    """Audio that is early or late as a whole is called so, to the millisecond."""
    if shift_ms > 0:
        audio = np.concatenate([np.zeros(shift_ms * 8, np.int16), TEN])
    else:
        audio = TEN[-shift_ms * 8 :]
    how = "late" if shift_ms > 0 else "early"
    assert check(audio, 0, 10) == [f"seconds 0 to 9 are {abs(shift_ms)} ms {how}"]


def test_a_small_shift_is_tolerated() -> None:
    """3 ms are within the tolerance, and the tolerance can be set."""
    audio = np.concatenate([np.zeros(24, np.int16), TEN])
    assert check(audio, 0, 10) == []
    assert explain(decode_seconds(audio), expected_seconds(0, 10), tolerance_ms=2) == [
        "seconds 0 to 9 are 3 ms late"
    ]


def test_where_the_audio_begins_can_be_told() -> None:
    """With the right start a shifted recording is fine."""
    audio = np.concatenate([np.zeros(250 * 8, np.int16), TEN])
    assert check(audio, 0, 10, starts_at_ms=250) == []


def test_a_silent_second_is_missing() -> None:
    """A second replaced by silence is missing, and the others are in place."""
    audio = TEN.copy()
    audio[milliseconds(5000, 6000)] = 0
    assert check(audio, 0, 10) == ["second 5 is missing"]


def test_a_cut_out_second_is_missing_and_moves_the_rest() -> None:
    """Time that was taken away is named twice: what is gone, and what came early."""
    audio = np.delete(TEN, milliseconds(5000, 6000))
    assert check(audio, 0, 10) == ["second 5 is missing", "seconds 6 to 9 are 1000 ms early"]


def test_a_doubled_second() -> None:
    """A second heard twice is named with both places, and the rest is late."""
    audio = np.insert(TEN, 6000 * 8, TEN[milliseconds(5000, 6000)])
    assert check(audio, 0, 10) == [
        "second 5 is heard 2 times, at 5000 ms and 6000 ms",
        "seconds 6 to 9 are 1000 ms late",
    ]


def test_a_second_over_another() -> None:
    """A second written into another's place is heard twice, and that other is missing."""
    audio = TEN.copy()
    audio[milliseconds(7000, 8000)] = TEN[milliseconds(3000, 4000)]
    assert check(audio, 0, 10) == [
        "second 3 is heard 2 times, at 3000 ms and 7000 ms",
        "second 7 is missing",
    ]


@pytest.mark.parametrize("at_ms", [20, 100, 500, 940])
def test_one_packet_too_many_or_too_few(at_ms: int) -> None:
    """A doubled or swallowed packet anywhere makes what follows 20 ms late or early."""
    place = milliseconds(5000 + at_ms, 5000 + at_ms + 20)
    doubled = check(np.insert(TEN, place.stop, TEN[place]), 0, 10)
    swallowed = check(np.delete(TEN, place), 0, 10)
    start = 5 if doubled[0].startswith("seconds 5") else 6
    assert doubled == [f"seconds {start} to 9 are 20 ms late"]
    start = 5 if swallowed[0].startswith("seconds 5") else 6
    assert swallowed == [f"seconds {start} to 9 are 20 ms early"]


def test_swapped_seconds() -> None:
    """Seconds that changed places are named with how far each is off."""
    audio = TEN.copy()
    audio[milliseconds(4000, 5000)] = TEN[milliseconds(5000, 6000)]
    audio[milliseconds(5000, 6000)] = TEN[milliseconds(4000, 5000)]
    assert check(audio, 0, 10) == ["second 4 is 1000 ms late", "second 5 is 1000 ms early"]


def test_half_a_second_of_silence() -> None:
    """A second of which only a part is left is named with how much of it."""
    audio = TEN.copy()
    audio[milliseconds(3300, 3800)] = 0
    (complaint,) = check(audio, 0, 10)
    assert complaint.startswith("only ")
    assert complaint.endswith(" ms of second 3 are heard")
    assert 350 <= float(complaint.split()[1]) <= 420
    assert explain(decode_seconds(audio), expected_seconds(0, 10), heard_enough_ms=300) == []


def test_cut_ends() -> None:
    """A beginning and an end that are cut off are named as partly heard, in their place."""
    complaints = check(TEN[milliseconds(600, 9400)], 0, 10, starts_at_ms=-600)
    assert [complaint.split(" ", 3)[3] for complaint in complaints] == [
        "of second 0 are heard",
        "of second 9 are heard",
    ]


def test_a_lost_sweep() -> None:
    """Without its sweep a second is still placed, by the sweep that follows or by its tones."""
    audio = TEN.copy()
    audio[milliseconds(5000, 5100)] = 0
    assert check(audio, 0, 10) == []
    heard = decode_seconds(
        np.concatenate([audio[milliseconds(5000, 5990)], np.zeros(800, np.int16)])
    )
    assert [one.second_index for one in heard] == [5]
    assert heard[0].starts_at_ms == pytest.approx(0, abs=20)


def test_what_was_not_expected() -> None:
    """A foreign second, as from another call's recording, is named."""
    audio = np.concatenate([TEN, encode_seconds(77, 1)])
    assert check(audio, 0, 10) == ["second 77 is heard at 10000 ms, unexpected"]


def test_nothing_is_heard_where_nothing_is() -> None:
    """Silence, noise, a single tone and a few samples hold no seconds."""
    noise = np.random.default_rng(1).normal(0, 3000, 40_000).astype(np.int16)
    tone = (9000 * np.sin(np.arange(16_000) * 0.7)).astype(np.int16)
    for audio in (np.zeros(16_000, np.int16), noise, tone, TEN[:100], TEN[:0]):
        assert decode_seconds(audio) == []
    assert check(noise, 0, 2) == ["second 0 is missing", "second 1 is missing"]


def test_soft_and_noisy_audio_is_heard() -> None:
    """Code 20 dB softer, with noise 15 dB below it, is found with its level."""
    soft = TEN / 10 + np.random.default_rng(1).normal(0, 130, len(TEN))
    heard = decode_seconds(soft.astype(np.int16))
    assert explain(heard, expected_seconds(0, 10)) == []
    assert heard[0].level_dbfs == pytest.approx(LEVEL_DBFS + 3 - 20, abs=0.5)
