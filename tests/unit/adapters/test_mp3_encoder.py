"""The MP3 writer: exact to the sample, by two decoders that share no code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import miniaudio
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceblocks.adapters.mp3_encoder import BIT_RATE_KBPS, Mp3Writer
from voiceblocks.audio.mp3 import parse_info_frame, split_frames
from voiceblocks.errors import ContractViolation, EncodeError

Samples = NDArray[np.int16]
Decoder = Callable[[Path], Samples]


def decode_libsndfile(path: Path) -> Samples:
    """Decode with libsndfile, which uses mpg123."""
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    return np.asarray(samples, np.int16)


def decode_miniaudio(path: Path) -> Samples:
    """Decode with miniaudio's dr_mp3."""
    found = miniaudio.mp3_read_file_s16(str(path))
    assert (found.sample_rate, found.nchannels) == (8000, 1)
    return np.array(found.samples, np.int16)


DECODERS = pytest.mark.parametrize("decode", [decode_libsndfile, decode_miniaudio])


def write(path: Path, samples: Samples, cuts: list[int] | None = None) -> tuple[int, int, str]:
    """Write samples, cut at these positions, into a finished file."""
    writer = Mp3Writer(path)
    for piece in np.split(samples, cuts or []):
        writer.write(piece)
    return writer.finish()


def pips(n_samples: int, positions: list[int]) -> Samples:
    """Silence with a 1 kHz tone burst of 20 ms around each position, mirrored about it."""
    signal = np.zeros(n_samples)
    offset = np.arange(n_samples)
    for position in positions:
        away = offset - position
        signal += 8000 * np.cos(np.pi / 4 * away) * np.exp(-((away / 40) ** 2))
    return signal.astype(np.int16)


def position_of_pip(samples: Samples, near: int) -> int:
    """Where a pip is, to the sample, found by correlation within 300 samples of `near`."""
    template = pips(641, [320]).astype(float)
    start = max(0, near - 620)
    part = samples[start : near + 621].astype(float)
    return int(np.correlate(part, template, "valid").argmax()) + 320 + start


@DECODERS
@pytest.mark.parametrize("n_samples", [1, 159, 160, 575, 576, 577, 1151, 1152, 8000, 8001, 240_000])
def test_length_is_exact(tmp_path: Path, decode: Decoder, n_samples: int) -> None:
    """A decoder gives exactly as many samples back as were written."""
    path = tmp_path / "x.mp3"
    samples = np.random.default_rng(1).normal(0, 2000, n_samples).astype(np.int16)
    assert write(path, samples)[0] == n_samples
    assert len(decode(path)) == n_samples


@DECODERS
def test_every_pip_is_in_its_place(tmp_path: Path, decode: Decoder) -> None:
    """0.0 ms error: tone bursts through 30 s come back at the very same samples."""
    path = tmp_path / "x.mp3"
    positions = [1000, 8000, 77_777, 160_001, 238_000]
    write(path, pips(240_000, positions))
    decoded = decode(path)
    assert [position_of_pip(decoded, position) for position in positions] == positions


@DECODERS
def test_the_ends_are_not_cut(tmp_path: Path, decode: Decoder) -> None:
    """A tone of 1000 samples comes back in phase and at its level from first to last part."""
    path = tmp_path / "x.mp3"
    tone = (8000 * np.sin(2 * np.pi * 500 * np.arange(1000) / 8000)).astype(np.int16)
    write(path, tone)
    decoded = decode(path).astype(float)
    for part in (slice(0, 80), slice(460, 540), slice(920, 1000)):
        assert np.corrcoef(decoded[part], tone[part].astype(float))[0, 1] > 0.98
        assert 0.8 < np.std(decoded[part]) / np.std(tone[part].astype(float)) < 1.2


def test_the_file_is_described_exactly(tmp_path: Path) -> None:
    """Size, hash, Info frame and constant frame size are those of the file on disk."""
    path = tmp_path / "x.mp3"
    n_samples, size_bytes, sha256 = write(path, pips(20_000, [5000]))
    data = path.read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (size_bytes, sha256)
    info = parse_info_frame(data)
    assert info is not None
    assert (info.total_bytes, info.sample_count) == (size_bytes, n_samples)
    frames = split_frames(data)
    assert len(frames) == info.frame_count + 1
    assert {header.bit_rate_kbps for _, header in frames} == {BIT_RATE_KBPS}
    assert sum(header.frame_bytes for _, header in frames) == size_bytes


@given(st.lists(st.integers(0, 9000), max_size=12).map(sorted))
@settings(max_examples=25, deadline=None)
def test_the_cut_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    """Written in pieces of any sizes, also empty ones, the file is the same."""
    folder = tmp_path_factory.mktemp("mp3")
    samples = pips(9000, [700, 4000])
    assert write(folder / "a.mp3", samples, cuts) == write(folder / "b.mp3", samples)


def test_views_are_read_as_they_look(tmp_path: Path) -> None:
    """A strided view is encoded as its own samples, not as the memory behind it."""
    samples = pips(8000, [2000])
    assert write(tmp_path / "a.mp3", samples[::2]) == write(tmp_path / "b.mp3", samples[::2].copy())


def test_no_audio_is_an_error(tmp_path: Path) -> None:
    """An MP3 of no samples is refused and leaves no file."""
    path = tmp_path / "x.mp3"
    writer = Mp3Writer(path)
    writer.write(np.zeros(0, np.int16))
    with pytest.raises(EncodeError, match="no audio"):
        writer.finish()
    assert not path.exists()


def test_abandoned_files_are_removed(tmp_path: Path) -> None:
    """Leaving the context without finish removes the file; with finish it stays."""
    lost, kept = tmp_path / "lost.mp3", tmp_path / "kept.mp3"
    with Mp3Writer(lost) as writer:
        writer.write(np.ones(9000, np.int16))
        assert writer.n_samples == 9000
    with Mp3Writer(kept) as writer:
        writer.write(np.ones(9000, np.int16))
        writer.finish()
    assert not lost.exists()
    assert kept.exists()


def test_misuse_is_named(tmp_path: Path) -> None:
    """Other types, stereo, and writing after the end are contract violations."""
    writer = Mp3Writer(tmp_path / "x.mp3")
    with pytest.raises(ContractViolation):
        writer.write(np.zeros(10, np.float32))  # type: ignore[arg-type]
    with pytest.raises(ContractViolation):
        writer.write(np.zeros((10, 2), np.int16))
    writer.abandon()
    with pytest.raises(ContractViolation):
        writer.write(np.zeros(10, np.int16))
    with pytest.raises(ContractViolation):
        writer.finish()


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    """A missing folder is an EncodeError with its cause."""
    with pytest.raises(EncodeError) as caught:
        Mp3Writer(tmp_path / "missing" / "x.mp3")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_full_disk(tmp_path: Path) -> None:
    """Where the disk has no room at the end, finish is an EncodeError and the file goes."""
    path = tmp_path / "x.mp3"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(1).normal(0, 2000, 8000).astype(np.int16)
    with pytest.raises(EncodeError) as caught:
        write(path, noise)
    assert isinstance(caught.value.__cause__, OSError)
    assert not path.is_symlink()


def test_a_write_that_fails_can_be_abandoned(tmp_path: Path) -> None:
    """After a failed write the context ends without another error."""
    path = tmp_path / "x.mp3"
    path.symlink_to("/dev/full")
    noise = np.random.default_rng(1).normal(0, 2000, 8000).astype(np.int16)
    with pytest.raises(EncodeError, match="cannot write"), Mp3Writer(path) as writer:
        writer.write(np.tile(noise, 40))
    assert not path.is_symlink()
