"""A damaged MP3 is found out while it is written, a sound one never is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceblocks.adapters import mp3_encoder
from voiceblocks.adapters.mp3_encoder import READ_BACK_FRAMES, Mp3Writer
from voiceblocks.audio import mp3
from voiceblocks.audio.g711 import ulaw_decode
from voiceblocks.errors import EncodeError
from voiceblocks.testing import tone_code

Samples = NDArray[np.int16]

N_SAMPLES = 80_000


def sounds() -> dict[str, Samples]:
    """What is hard to encode, and what is easy."""
    rng = np.random.default_rng(1)
    index = np.arange(N_SAMPLES)
    turns = 2 * np.pi * index / 8000
    return {
        "any bytes": ulaw_decode(rng.integers(0, 256, N_SAMPLES).astype(np.uint8)),
        "quiet noise": rng.normal(0, 20, N_SAMPLES).astype(np.int16),
        "clicks": ((index % 2000 == 0) * 30_000).astype(np.int16),
        "bursts": (rng.normal(0, 8000, N_SAMPLES) * (index // 400 % 5 == 0)).astype(np.int16),
        "at 4 kHz": ((1 - 2 * (index % 2)) * 20_000).astype(np.int16),
        "3.9 kHz, gated": (20_000 * np.sin(3900 * turns) * (index // 317 % 2)).astype(np.int16),
        "square": (np.sign(np.sin(300 * turns)) * 32_000).astype(np.int16),
        "constant": np.full(N_SAMPLES, 10_000, np.int16),
        "silence": np.zeros(N_SAMPLES, np.int16),
        "code": tone_code.encode_seconds(0, 10),
    }


@pytest.mark.parametrize("name", list(sounds()))
def test_whatever_was_said_is_found_right(tmp_path: Path, name: str) -> None:
    """The comparison allows what the codec does to any sound."""
    writer = Mp3Writer(tmp_path / "x.mp3")
    for piece in np.split(sounds()[name], range(7000, N_SAMPLES, 7000)):
        writer.write(piece)
    assert writer.finish()[0] == N_SAMPLES


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.integers(1, 24_000))
def test_noise_of_any_colour_is_found_right(tmp_path: Path, seed: int, length: int) -> None:
    """Stereo, too."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 10 ** rng.uniform(0, 4.3), (length, 2))
    if seed % 2:
        samples = np.cumsum(samples, axis=0) / 20
    writer = Mp3Writer(tmp_path / "x.mp3", channels=2)
    writer.write(np.clip(samples, -32768, 32767).astype(np.int16))
    assert writer.finish()[0] == length


def damaged(writer: Mp3Writer, path: Path, offset: int, data: bytes) -> None:
    """Change bytes of the file behind the writer's back."""
    writer._file.flush()
    handle = os.open(path, os.O_RDWR)
    os.pwrite(handle, data, offset)
    os.close(handle)


@pytest.mark.parametrize("seconds_before", [3, 6])
def test_a_frame_of_another_place_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_before: int
) -> None:
    """A frame that is a good one, but sounds like another second: at the next look."""
    path = tmp_path / "x.mp3"
    audio = tone_code.encode_seconds(0, 12)
    monkeypatch.setattr(mp3_encoder, "READ_BACK_FRAMES", 1 << 30)
    writer = Mp3Writer(path)
    writer.write(audio[: seconds_before * 8000])
    writer._file.flush()
    data = path.read_bytes()
    # The first frame, of the Info frame to be, is zeros still.
    size = mp3.parse_header(data[216:220]).frame_bytes  # type: ignore[union-attr]
    victim, other = 216 + 20 * size, 216 + 5 * size
    damaged(writer, path, victim, data[other : other + 3 * size])
    with pytest.raises(EncodeError, match="sounds different"):
        writer.finish()
    assert not path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: path.write_bytes(path.read_bytes()[:-300] + b"x" + path.read_bytes()[-299:]),
    ],
)
def test_what_changes_after_it_was_found_right_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    """Size and checksum are looked at once more at the end, for all of the file."""
    path = tmp_path / "x.mp3"
    writer = Mp3Writer(path)
    writer.write(tone_code.encode_seconds(0, 6))
    hash_of = writer._hash_of

    def damage_first(info: mp3.InfoFrame) -> str:
        damage(path)
        return hash_of(info)

    monkeypatch.setattr(writer, "_hash_of", damage_first)
    with pytest.raises(EncodeError, match="not what was written"):
        writer.finish()


def test_the_end_looks_at_the_last_piece_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long recording no more is decoded at the end than of a short one."""
    decoded: list[int] = []
    decode = mp3_encoder.decode_frames

    def count(data: bytes, n_lead: int) -> Samples:
        samples = decode(data, n_lead)
        decoded.append(len(samples) // 576)
        return samples

    monkeypatch.setattr(mp3_encoder, "decode_frames", count)
    writer = Mp3Writer(tmp_path / "x.mp3")
    for second in range(60):
        writer.write(tone_code.encode_seconds(second, 1))
    before = len(decoded)
    writer.finish()
    assert len(decoded) == before + 1
    assert decoded[-1] <= READ_BACK_FRAMES + 3
