"""Which recording gets the next slice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceblocks.adapters.render.following import (
    PERIOD_S,
    SLICE_SLOTS,
    TRAIL_SLOTS,
    TRIM_MARGIN_SLOTS,
    Finished,
    Following,
    Schedule,
)
from voiceblocks.audio import g711
from voiceblocks.audio.dtmf import dtmf_tone
from voiceblocks.audio.level import SILENT_DBFS
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.recordings.spool import PAUSED, SLOT_SAMPLES, SpoolWriter


@dataclass
class Rest:
    """A finishing recording that has so much to do."""

    slots: int

    def remaining_slots(self) -> int:
        return self.slots


def tone(n_samples: int, hz: float = 440.0) -> np.ndarray:
    """A sine at half scale, int16."""
    return (16_000 * np.sin(2 * np.pi * hz * np.arange(n_samples) / 8000)).astype(np.int16)


def append(writer: SpoolWriter, samples: np.ndarray) -> None:
    """Append whole slots of u-law audio, all present."""
    codes = g711.ulaw_encode(samples).reshape(-1, SLOT_SAMPLES)
    writer.append(np.ascontiguousarray(np.insert(codes, 0, 1, axis=1)))


def finish(recording: Following) -> tuple[Finished, int]:
    """Step to the end; the result and the number of steps."""
    for step in range(1, 10_000):
        finished = recording.finish_step()
        if finished is not None:
            return finished, step
    raise AssertionError("no end")


def test_600_recordings_are_spread() -> None:
    """However many are followed at the same instant, no tenth of a second gets a burst."""
    schedule = Schedule()
    for number in range(600):
        schedule.follow(f"r{number}", 100.0)
    for period in range(2):
        counts = []
        for tenth in range(1, 11):
            now = 100.0 + period * PERIOD_S + tenth / 10 * PERIOD_S
            count = 0
            while schedule.next_follow(now) is not None:
                count += 1
            counts.append(count)
        # One may sit exactly on the border of two periods.
        assert abs(sum(counts) - 600) <= 1
        assert max(counts) <= 63


def test_each_is_looked_at_once_a_period() -> None:
    """A look arranges the next one, a period later in the same phase."""
    schedule = Schedule()
    schedule.follow("a", 10.0)
    first = schedule.next_due()
    assert first is not None
    assert schedule.next_follow(first - 0.01) is None
    assert schedule.next_follow(first) == "a"
    assert schedule.next_due() == pytest.approx(first + PERIOD_S)


def test_missed_looks_are_not_made_up_for() -> None:
    """After a stall of many periods there is one look, not one for each."""
    schedule = Schedule()
    schedule.follow("a", 0.0)
    assert schedule.next_follow(50.0) == "a"
    assert schedule.next_follow(50.0) is None
    due = schedule.next_due()
    assert due is not None
    assert 50.0 < due <= 51.0


def test_who_is_behind_is_looked_at_again() -> None:
    """`again` brings the next look forward, and there is still only one."""
    schedule = Schedule()
    schedule.follow("a", 0.0)
    assert schedule.next_follow(1.0) == "a"
    schedule.again("a", 1.0)
    assert schedule.next_follow(1.0) == "a"
    assert schedule.next_follow(1.0) is None


def test_short_finish_goes_first() -> None:
    """What one slice completes does not wait for followed ones that are due."""
    schedule = Schedule()
    schedule.follow("a", 0.0)
    schedule.finish("b", Rest(SLICE_SLOTS + 1))
    schedule.finish("c", Rest(SLICE_SLOTS))
    assert schedule.next_due() == 0.0
    assert [schedule.next_finish(5.0) for _ in range(3)] == ["c", "c", "c"]


def test_long_finish_shares_with_followed_ones() -> None:
    """A whole day to encode delays nobody's second for more than a slice, nor starves itself."""
    schedule = Schedule()
    for number in range(20):
        schedule.follow(f"r{number}", 0.0)
    schedule.finish("day", Rest(4_000_000))
    turns = []
    for _ in range(10):
        name = schedule.next_finish(5.0)
        turns.append(name or schedule.next_follow(5.0))
    assert turns.count("day") == 5
    assert len(set(turns)) == 6


def test_shortest_finish_first() -> None:
    """Of several finishes the one that is nearest its end goes first."""
    schedule = Schedule()
    schedule.finish("long", Rest(90_000))
    schedule.finish("shorter", Rest(9_000))
    assert schedule.next_finish(0.0) == "shorter"
    schedule.forget("shorter")
    assert schedule.next_finish(0.0) == "long"


@given(st.lists(st.tuples(st.sampled_from("fdxn"), st.integers(0, 3)), max_size=40))
def test_forgotten_names_never_come_back(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of calls, only what is known is handed out."""
    schedule = Schedule()
    following: set[str] = set()
    finishing: set[str] = set()
    for now, (action, number) in enumerate(steps):
        name = f"r{number}"
        if action == "f" and name not in finishing:
            schedule.follow(name, float(now))
            following.add(name)
        elif action == "d":
            schedule.finish(name, Rest(number))
            following.discard(name)
            finishing.add(name)
        elif action == "x":
            schedule.forget(name)
            following.discard(name)
            finishing.discard(name)
        else:
            assert schedule.next_finish(now + 9.0) in (finishing or {None})
            assert schedule.next_follow(now + 9.0) in (following or {None})
    assert (schedule.next_due() is None) == (not following and not finishing)


def test_growing_spool(tmp_path: Path) -> None:
    """Encoded as it grows, the MP3 is the recording to the sample, also a partial last slot."""
    writer = SpoolWriter(tmp_path / "a.spool", "PCMU")
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    audio = tone(500 * SLOT_SAMPLES)
    assert recording.follow_step() is False
    for start in range(0, 500, 100):
        append(writer, audio[start * SLOT_SAMPLES : (start + 100) * SLOT_SAMPLES])
        while recording.follow_step():
            pass
    n_samples = 500 * SLOT_SAMPLES - 37
    recording.end_at(n_samples)
    assert recording.remaining_slots() == TRAIL_SLOTS
    finished, steps = finish(recording)
    recording.close()
    assert steps == 1
    assert finished.n_samples == n_samples
    assert finished.size_bytes == finished.path.stat().st_size
    heard, rate_hz = soundfile.read(finished.path, dtype="int16")
    assert (rate_hz, len(heard)) == (8000, n_samples)
    error = heard[800:-800].astype(float) - audio[800 : n_samples - 800]
    # Moved by a single sample the error of this tone would be a third of its level.
    assert np.sqrt(np.mean(error**2)) < 0.1 * audio.std()
    assert not (tmp_path / "a.mp3.part").exists()
    writer.close()


def test_end_before_what_was_encoded(tmp_path: Path) -> None:
    """An end that lies further back than half a second still gives the exact length."""
    writer = SpoolWriter(tmp_path / "a.spool", "PCMA")
    writer.append(np.zeros((300, 161), np.uint8))
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    while recording.follow_step():
        pass
    recording.end_at(1234)
    finished, _steps = finish(recording)
    heard, _rate = soundfile.read(finished.path, dtype="int16")
    assert len(heard) == 1234
    assert np.abs(heard).max() < 100
    recording.close()
    writer.close()


def test_end_beyond_the_spool(tmp_path: Path) -> None:
    """Silence that was never sent is silence: the length stays that of the wall clock."""
    writer = SpoolWriter(tmp_path / "a.spool", "PCMU")
    append(writer, tone(10 * SLOT_SAMPLES))
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    recording.end_at(9000)
    finished, _steps = finish(recording)
    heard, _rate = soundfile.read(finished.path, dtype="int16")
    assert len(heard) == 9000
    assert np.abs(heard[4000:]).max() < 100
    recording.close()
    writer.close()


def test_nothing_to_encode(tmp_path: Path) -> None:
    """A recording without samples is refused; no file is left."""
    SpoolWriter(tmp_path / "a.spool", "PCMU").close()
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    recording.end_at(0)
    with pytest.raises(EncodeError):
        recording.finish_step()
    recording.discard()
    recording.close()
    assert not list(tmp_path.glob("*.mp3*"))


def test_not_a_spool(tmp_path: Path) -> None:
    """A file that is something else is followed in silence and refused at the end."""
    (tmp_path / "a.spool").write_bytes(b"x" * 5000)
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    assert recording.follow_step() is False
    recording.end_at(160)
    with pytest.raises(StoreError):
        recording.finish_step()


def spool_of(path: Path, samples: np.ndarray) -> None:
    """A complete spool."""
    writer = SpoolWriter(path, "PCMU")
    append(writer, samples[: len(samples) // SLOT_SAMPLES * SLOT_SAMPLES])
    writer.close()


def followed(
    tmp_path: Path, samples: np.ndarray, shape: RecordingShape, key: str | None
) -> Finished:
    """The recording of a spool that was followed until all but the end was encoded."""
    spool_of(tmp_path / "a.spool", samples)
    recording = Following(tmp_path / "a.spool", tmp_path / f"a.{shape.format}", None, shape)
    while recording.follow_step():
        pass
    recording.end_at(len(samples), key)
    finished, _steps = finish(recording)
    recording.close()
    return finished


def test_a_wav_has_every_sample(tmp_path: Path) -> None:
    """Not one differs from the spool, and a player knows the length from the header."""
    audio = tone(300 * SLOT_SAMPLES)
    finished = followed(tmp_path, audio, RecordingShape(format="wav"), None)
    heard, rate_hz = soundfile.read(finished.path, dtype="int16")
    assert rate_hz == 8000
    assert np.array_equal(heard, g711.ulaw_decode(g711.ulaw_encode(audio)))
    assert finished.size_bytes == finished.path.stat().st_size
    assert finished.sha256 == hashlib.sha256(finished.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("format_", ["mp3", "wav"])
@given(
    before=st.integers(0, 700),
    sound=st.integers(1, 300),
    pause=st.integers(0, 400),
    after=st.integers(0, 700),
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_silence_around_the_sound_is_trimmed(
    tmp_path: Path, format_: str, before: int, sound: int, pause: int, after: int
) -> None:
    """Of any silence at either end 0.2 s stay, and a pause in between stays as long as it was."""
    part = tone(sound * SLOT_SAMPLES)
    quiet = [np.zeros(n * SLOT_SAMPLES, np.int16) for n in (before, pause, after)]
    audio = np.concatenate((quiet[0], part, quiet[1], part, quiet[2]))
    (tmp_path / "a.spool").unlink(missing_ok=True)
    shape = RecordingShape(format=format_, trims_silence=True)
    finished = followed(tmp_path, audio, shape, None)
    margins = min(before, TRIM_MARGIN_SLOTS) + min(after, TRIM_MARGIN_SLOTS)
    assert finished.n_samples == (2 * sound + pause + margins) * SLOT_SAMPLES
    heard, _rate = soundfile.read(finished.path, dtype="int16")
    assert len(heard) == finished.n_samples


def test_nothing_but_silence_is_trimmed_to_the_shortest(tmp_path: Path) -> None:
    """There is a recording, of one slot."""
    shape = RecordingShape(trims_silence=True)
    finished = followed(tmp_path, np.zeros(8000, np.int16), shape, None)
    assert finished.n_samples == SLOT_SAMPLES
    assert finished.health.level_dbfs == SILENT_DBFS


def test_the_key_that_ended_it_is_cut_off(tmp_path: Path) -> None:
    """A key that is held for a second before its INFO comes is not heard, what was said is."""
    said = tone(200 * SLOT_SAMPLES, 300.0)
    audio = np.concatenate((said, dtmf_tone("#", 1000.0), np.zeros(1600, np.int16)))
    finished = followed(tmp_path, audio, PLAIN, "#")
    assert len(said) - 160 <= finished.n_samples <= len(said) + 80


def test_level_silence_and_absence_are_measured(tmp_path: Path) -> None:
    """A tone at -6 dBFS for two thirds, silence for a third, half of which never came."""
    writer = SpoolWriter(tmp_path / "a.spool", "PCMU")
    append(writer, np.concatenate((tone(200 * SLOT_SAMPLES), np.zeros(8000, np.int16))))
    writer.append(np.zeros((50, 161), np.uint8))
    writer.close()
    recording = Following(tmp_path / "a.spool", tmp_path / "a.mp3")
    recording.end_at(300 * SLOT_SAMPLES)
    finished, _steps = finish(recording)
    recording.close()
    assert finished.health.level_dbfs == pytest.approx(-6.2, abs=0.2)
    assert finished.health.silent_ms == 2000
    assert finished.health.absent_ms == 1000


@pytest.mark.parametrize("trims", [False, True])
def test_a_pause_is_neither_absent_nor_silent(tmp_path: Path, trims: bool) -> None:
    """A second of it between two of sound, and one at the end, which is trimmed like silence."""
    writer = SpoolWriter(tmp_path / "spool", "PCMU")
    pause = np.zeros((50, 1 + SLOT_SAMPLES), np.uint8)
    pause[:, 0] = PAUSED
    append(writer, tone(8000))
    writer.append(pause)
    append(writer, tone(8000))
    writer.append(pause)
    writer.finish(200 * SLOT_SAMPLES)
    shape = RecordingShape("wav", trims_silence=trims)
    recording = Following(tmp_path / "spool", tmp_path / "a.wav", None, shape)
    while recording.follow_step():
        pass
    recording.end_at(200 * SLOT_SAMPLES)
    done, _steps = finish(recording)
    kept = 150 + TRIM_MARGIN_SLOTS if trims else 200
    assert done.n_samples == kept * SLOT_SAMPLES
    assert done.health.paused_ms == (kept - 100) * 20
    assert (done.health.absent_ms, done.health.silent_ms) == (0, 0)
    samples, _rate = soundfile.read(done.path, dtype="int16")
    assert not samples[8000:16_000].any()
