"""Custom audio files: what is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceblocks.adapters.mp3_encoder import Mp3Writer
from voiceblocks.adapters.render import audio_files
from voiceblocks.adapters.render.audio_files import read_audio_file
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.errors import UnreadableAudio


def sine(rate_hz: int, seconds: float, hz: float = 1000, channels: int = 1) -> np.ndarray:
    """Floats at -6 dBFS, shape `(n, channels)`."""
    time_s = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * hz * time_s)[:, None], channels, axis=1)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_wav_rates_and_channels(tmp_path: Path, rate_hz: int, channels: int) -> None:
    """Any rate and channel count becomes the same tone for the same time."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(rate_hz, 1.5, channels=channels), rate_hz)
    samples = read_audio_file(path, ".wav")
    assert len(samples) == 12_000
    assert goertzel_level_dbfs(samples[100:-100], 1000) == pytest.approx(-6, abs=0.2)


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW", "GSM610"]
)
def test_wav_encodings(tmp_path: Path, subtype: str) -> None:
    """Every encoding that telephone systems put into WAV is read."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(8000, 1), 8000, subtype=subtype)
    samples = read_audio_file(path, ".wav")
    assert goertzel_level_dbfs(samples[100:8000], 1000) == pytest.approx(-6, abs=0.5)


def test_gsm(tmp_path: Path) -> None:
    """Raw GSM 06.10 is read; a torn last frame is left out."""
    path = tmp_path / "a.gsm"
    soundfile.write(path, sine(8000, 1), 8000, format="RAW", subtype="GSM610")
    assert len(read_audio_file(path, ".gsm")) == 8000
    path.write_bytes(path.read_bytes()[:-10])
    samples = read_audio_file(path, ".gsm")
    assert len(samples) == 8000 - 160
    assert goertzel_level_dbfs(samples, 1000) == pytest.approx(-6, abs=1)


def test_our_own_recordings(tmp_path: Path) -> None:
    """A recording of ours, used as a message, has exactly its own length."""
    writer = Mp3Writer(tmp_path / "a.mp3")
    writer.write((sine(8000, 2)[:, 0] * 32_767).astype(np.int16))
    n_samples, _size, _digest = writer.finish()
    samples = read_audio_file(tmp_path / "a.mp3", ".mp3")
    assert len(samples) == n_samples == 16_000


@pytest.mark.parametrize("tag_bytes", [0, 10, 5000])
def test_mp3_with_tags(tmp_path: Path, tag_bytes: int) -> None:
    """ID3v2 tags in front are skipped."""
    path = tmp_path / "a.mp3"
    soundfile.write(path, sine(44_100, 1), 44_100)
    size = bytes([tag_bytes >> 21 & 127, tag_bytes >> 14 & 127, tag_bytes >> 7 & 127])
    tag = b"ID3\x04\0\0" + size + bytes([tag_bytes & 127]) + bytes(tag_bytes)
    path.write_bytes(tag + path.read_bytes())
    samples = read_audio_file(path, ".mp3")
    assert len(samples) == pytest.approx(8000, abs=500)
    assert goertzel_level_dbfs(samples[1000:7000], 1000) == pytest.approx(-6, abs=1)


def test_aliases_are_filtered(tmp_path: Path) -> None:
    """What a telephone cannot carry is gone, not folded into its band."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(48_000, 1, hz=5000), 48_000)
    assert rms_dbfs(read_audio_file(path, ".wav")[400:-400]) < -70


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 44_100])
def test_long_files_have_no_seams(tmp_path: Path, rate_hz: int) -> None:
    """Resampled piece by piece, a long tone is still one tone to the end."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(rate_hz, 95.25), rate_hz)
    samples = read_audio_file(path, ".wav")
    assert len(samples) == 95.25 * 8000
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(samples)) / 8000) * 32768
    error = samples[800:-800] - expected[800:-800]
    assert np.abs(error).max() < 60


@pytest.mark.parametrize(
    ("extension", "written"),
    [(".mp3", ".wav"), (".gsm", ".wav"), (".wav", ".mp3"), (".gsm", ".mp3"), (".mp3", ".gsm"),
     (".wav", ".gsm"), (".mp3", ".flac"), (".wav", ".flac"), (".mp3", ".ogg"), (".wav", ".aiff"),
     (".ogg", ".ogg"), (".flac", ".flac")],
)  # fmt: skip
def test_wrong_content(tmp_path: Path, extension: str, written: str) -> None:
    """Each format is refused under the name of another, and unknown ones always."""
    path = tmp_path / f"a{written}"
    raw = {"format": "RAW", "subtype": "GSM610"} if written == ".gsm" else {}
    soundfile.write(path, sine(8000, 1), 8000, **raw)
    with pytest.raises(UnreadableAudio):
        read_audio_file(path, extension)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"ID3",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"ID3\x04\0\0\0\0\0\x02zz",
        b"\xff\xfb",
        b"\xff\xfb\x90\x00" + bytes(2000),
        b"RIFF\0\0\0\0WAVE",
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\0\0\0\0\0\0",
        b"<html>404</html>" * 100,
        b"\xd0" + bytes(20),
    ],
)
@pytest.mark.parametrize("extension", [".mp3", ".wav", ".gsm"])
def test_junk(tmp_path: Path, content: bytes, extension: str) -> None:
    """What only begins like an audio file, or not even that, is refused."""
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(UnreadableAudio):
        read_audio_file(path, extension)


def test_empty_wav(tmp_path: Path) -> None:
    """A WAV without samples is no message."""
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(8000, 0), 8000)
    with pytest.raises(UnreadableAudio, match="no audio"):
        read_audio_file(path, ".wav")


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can hold hours; more than the limit is refused while decoding."""
    monkeypatch.setattr(audio_files, "LONGEST_S", 3)
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(8000, 3), 8000)
    assert len(read_audio_file(path, ".wav")) == 24_000
    soundfile.write(path, sine(8000, 3.1), 8000)
    with pytest.raises(UnreadableAudio, match="longer"):
        read_audio_file(path, ".wav")


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the downloader should not have let through is not read whole."""
    monkeypatch.setattr(audio_files, "MAX_BYTES", 1000)
    path = tmp_path / "a.wav"
    soundfile.write(path, sine(8000, 1), 8000)
    with pytest.raises(UnreadableAudio, match="large"):
        read_audio_file(path, ".wav")


def test_missing(tmp_path: Path) -> None:
    """A file that is gone is unreadable."""
    with pytest.raises(UnreadableAudio):
        read_audio_file(tmp_path / "a.wav", ".wav")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file of each format."""
    folder = tmp_path_factory.mktemp("whole")
    soundfile.write(folder / "a.mp3", sine(16_000, 0.5), 16_000)
    soundfile.write(folder / "a.wav", sine(16_000, 0.5), 16_000)
    soundfile.write(folder / "a.gsm", sine(8000, 0.5), 8000, format="RAW", subtype="GSM610")
    return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    extension=st.sampled_from([".mp3", ".wav", ".gsm"]),
    cut=st.integers(0, 3000),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5),
)
def test_damaged_files(
    tmp_path: Path,
    whole: dict[str, bytes],
    extension: str,
    cut: int,
    changes: list[tuple[int, int]],
) -> None:
    """Damaged files give samples or UnreadableAudio, and nothing else."""
    data = bytearray(whole[extension][: max(0, len(whole[extension]) - cut)])
    for position, value in changes:
        if position < len(data):
            data[position] = value
    path = tmp_path / "a"
    path.write_bytes(bytes(data))
    try:
        samples = read_audio_file(path, extension)
    except UnreadableAudio:
        return
    assert samples.dtype == np.int16
    assert len(samples) > 0
