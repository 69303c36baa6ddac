"""Stereo recordings of two spools: true in time, separate, exact, and they survive the encoder."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import lameenc
import miniaudio
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceblocks.adapters import lame_stereo
from voiceblocks.adapters.lame_stereo import keep_channels_apart
from voiceblocks.adapters.mp3_encoder import STEREO_BIT_RATE_KBPS, Mp3Writer
from voiceblocks.adapters.render.following import TRAIL_SLOTS, Finished, Following
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.audio.codecs import codec_named
from voiceblocks.audio.dtmf import dtmf_tone
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.audio.mp3 import parse_info_frame, split_frames
from voiceblocks.audio.tones import tone
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.errors import ContractViolation, EncodeError, StoreError
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter
from voiceblocks.testing.keypad import keys_heard

Samples = NDArray[np.int16]
Decoder = Callable[[Path], Samples]


def decode_libsndfile(path: Path) -> Samples:
    """Decode with libsndfile, which uses mpg123; `(n, 2)`."""
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    return np.asarray(samples, np.int16)


def decode_miniaudio(path: Path) -> Samples:
    """Decode with miniaudio's dr_mp3; `(n, 2)`."""
    found = miniaudio.mp3_read_file_s16(str(path))
    assert (found.sample_rate, found.nchannels) == (8000, 2)
    return np.array(found.samples, np.int16).reshape(-1, 2)


DECODERS = pytest.mark.parametrize("decode", [decode_libsndfile, decode_miniaudio])


def write_mp3(path: Path, samples: Samples, cuts: list[int] | None = None) -> tuple[int, int, str]:
    """A finished file of `(n, 2)` samples, cut at these positions."""
    writer = Mp3Writer(path, channels=2)
    for piece in np.split(samples, cuts or []):
        writer.write(piece)
    return writer.finish()


def write_spool(
    path: Path, samples: Samples, law: str = "PCMU", zero_s: float = 1000.0, *, over: bool = True
) -> Path:
    """A spool of whole slots, or one that goes on."""
    writer = SpoolWriter(path, law)
    writer.set_zero(1_700_000_000_000_000, zero_s)
    missing = records(samples, law)[writer.n_slots :]
    if len(missing):
        writer.append(missing)
    if over:
        writer.finish(len(samples))
    writer.close()
    return path


def records(samples: Samples, law: str) -> NDArray[np.uint8]:
    """Spool records; the last slot is filled with zeros."""
    padded = np.pad(samples, (0, -len(samples) % SLOT_SAMPLES))
    codes = codec_named(law).encode(padded).reshape(-1, SLOT_SAMPLES)
    return np.ascontiguousarray(np.insert(codes, 0, 1, axis=1))


def pip_at(n_samples: int, position: int) -> Samples:
    """Silence with a tone burst of 20 ms about one position."""
    away = np.arange(n_samples) - position
    burst = 12_000 * np.cos(np.pi / 4 * away) * np.exp(-((away / 40.0) ** 2))
    return np.rint(burst).astype(np.int16)


def position_of_pip(samples: Samples) -> int:
    """Where it is, to the sample."""
    template = pip_at(641, 320).astype(float)
    return int(np.correlate(samples.astype(float), template, "same").argmax())


def finish(recording: Following) -> Finished:
    """Encode to the end."""
    while (finished := recording.finish_step()) is None:
        pass
    recording.close()
    return finished


@DECODERS
@pytest.mark.parametrize("n_samples", [1, 160, 575, 576, 577, 8000, 8001, 240_000])
def test_length_is_exact(tmp_path: Path, decode: Decoder, n_samples: int) -> None:
    """Both channels have exactly as many samples as were written, at any length."""
    noise = np.random.default_rng(1).normal(0, 2000, (n_samples, 2)).astype(np.int16)
    assert write_mp3(tmp_path / "x.mp3", noise)[0] == n_samples
    assert decode(tmp_path / "x.mp3").shape == (n_samples, 2)


def test_the_file_is_described_exactly(tmp_path: Path) -> None:
    """Every frame has the one bit rate; the Info frame counts frames and bytes right."""
    path = tmp_path / "x.mp3"
    noise = np.random.default_rng(2).normal(0, 2000, (20_000, 2)).astype(np.int16)
    n_samples, size_bytes, _sha256 = write_mp3(path, noise)
    data = path.read_bytes()
    frames = split_frames(data)
    info = parse_info_frame(data)
    assert info is not None
    assert {header.bit_rate_kbps for _offset, header in frames} == {STEREO_BIT_RATE_KBPS}
    assert not any(header.mono for _offset, header in frames)
    assert info.frame_count == len(frames) - 1
    assert info.total_bytes == size_bytes == len(data)
    assert info.sample_count == n_samples


@DECODERS
@pytest.mark.parametrize("quiet_db", [-12, -50])
def test_the_channels_do_not_bleed(tmp_path: Path, decode: Decoder, quiet_db: float) -> None:
    """Each channel's tone is 60 dB weaker in the other, alike in level or not."""
    left, right = tone((1000,), 4000, -12), tone((400,), 4000, quiet_db)
    write_mp3(tmp_path / "x.mp3", np.stack((left, right), axis=1))
    decoded = decode(tmp_path / "x.mp3")[4000:28_000]
    loud = goertzel_level_dbfs(decoded[:, 0], 1000)
    assert loud == pytest.approx(-12, abs=0.5)
    assert goertzel_level_dbfs(decoded[:, 1], 400) == pytest.approx(quiet_db, abs=1)
    assert goertzel_level_dbfs(decoded[:, 1], 1000) < loud - 60
    assert goertzel_level_dbfs(decoded[:, 0], 400) < quiet_db - 40


@DECODERS
def test_a_silent_channel_stays_silent(tmp_path: Path, decode: Decoder) -> None:
    """While one talks (here: noise in bursts), nothing is heard of it on the other side."""
    rng = np.random.default_rng(3)
    bursts = np.repeat(rng.integers(0, 2, 40), 800) * rng.normal(0, 4000, 32_000)
    silence = np.zeros(32_000)
    write_mp3(tmp_path / "x.mp3", np.stack((bursts, silence), axis=1).astype(np.int16))
    decoded = decode(tmp_path / "x.mp3").astype(float)
    assert np.sqrt((decoded[:, 1] ** 2).mean()) < 0.01 * np.sqrt((decoded[:, 0] ** 2).mean())


def test_no_frame_mixes_the_channels(tmp_path: Path) -> None:
    """Alike or not, every frame codes left and right, never their sum and difference."""
    path = tmp_path / "x.mp3"
    rng = np.random.default_rng(5)
    alike = np.repeat(rng.normal(0, 3000, (8000, 1)), 2, axis=1)
    quiet = np.zeros((8000, 2))
    write_mp3(path, np.concatenate((alike, quiet, alike * [1, 0.1])).astype(np.int16))
    data = path.read_bytes()
    modes = {data[offset + 3] >> 6 for offset, _header in split_frames(data)[1:]}
    assert modes == {0}


def test_an_unknown_build_of_lame_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where size, mark or rate are not as known, nothing is set."""
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_in_sample_rate(8000)
    assert keep_channels_apart(encoder, 8000)
    assert not keep_channels_apart(encoder, 16_000)
    assert not keep_channels_apart(object(), 8000)  # type: ignore[arg-type]
    monkeypatch.setattr(lame_stereo, "_LAME_ID", 1)
    assert not keep_channels_apart(encoder, 8000)


def test_shape_is_checked(tmp_path: Path) -> None:
    """A stereo file takes no mono audio, and the other way round."""
    with Mp3Writer(tmp_path / "x.mp3", channels=2) as writer, pytest.raises(ContractViolation):
        writer.write(np.zeros(10, np.int16))
    with Mp3Writer(tmp_path / "x.mp3") as writer, pytest.raises(ContractViolation):
        writer.write(np.zeros((10, 2), np.int16))


@DECODERS
@pytest.mark.parametrize("laws", [("PCMU", "PCMU"), ("PCMU", "PCMA"), ("PCMA", "PCMU")])
@pytest.mark.parametrize("apart_s", [0.0, 0.0075, -0.0075, 0.3, -0.3])
def test_both_channels_are_true_in_time(
    tmp_path: Path, decode: Decoder, laws: tuple[str, str], apart_s: float
) -> None:
    """What both channels heard in one instant is at one sample, whatever their time zeros."""
    apart = round(apart_s * 8000)
    left = write_spool(tmp_path / "l.spool", pip_at(32_000, 16_000), laws[0], 500.0)
    right = write_spool(
        tmp_path / "r.spool", pip_at(32_000, 16_000 - apart), laws[1], 500.0 + apart_s
    )
    recording = Following(left, tmp_path / "x.mp3", right)
    recording.end_at(32_000)
    decoded = decode(finish(recording).path)
    assert position_of_pip(decoded[:, 0]) == 16_000
    assert abs(position_of_pip(decoded[:, 1]) - 16_000) <= 1


@pytest.mark.parametrize("lengths", [(16_000, 4000), (4000, 16_000)])
def test_one_is_shorter(tmp_path: Path, lengths: tuple[int, int]) -> None:
    """The shorter one ends in silence; the length is the one that was asked for."""
    spools = [
        write_spool(tmp_path / f"{side}.spool", tone((1000,), length / 8, -12), law)
        for side, length, law in zip("lr", lengths, ("PCMA", "PCMA"), strict=True)
    ]
    recording = Following(spools[0], tmp_path / "x.mp3", spools[1])
    recording.end_at(16_000)
    decoded = decode_libsndfile(finish(recording).path)
    assert len(decoded) == 16_000
    for side, length in enumerate(lengths):
        assert goertzel_level_dbfs(decoded[400:3600, side], 1000) == pytest.approx(-12, abs=1)
        if length < 16_000:
            assert np.abs(decoded[length + 800 :, side]).max() < 100


def test_followed_is_the_same_as_at_once(tmp_path: Path) -> None:
    """Encoded as both grow, one of them always behind, the file has the very same bytes."""
    rng = np.random.default_rng(4)
    audio = [rng.normal(0, 1500, 40_000).astype(np.int16) for _side in range(2)]
    paths = tmp_path / "l.spool", tmp_path / "r.spool"
    recording = Following(paths[0], tmp_path / "followed.mp3", paths[1])
    assert recording.follow_step() is False
    part = tmp_path / "followed.mp3.part"
    for second in range(1, 6):
        # The heard one is made later, and is half a second behind.
        write_spool(paths[0], audio[0][: second * 8000], zero_s=9.0, over=False)
        if second > 1:
            write_spool(paths[1], audio[1][: second * 8000 - 4000], zero_s=9.005, over=False)
        while recording.follow_step():
            pass
        assert part.exists() == (second > 1)
    for path, samples, zero_s in zip(paths, audio, (9.0, 9.005), strict=True):
        write_spool(path, samples, zero_s=zero_s)
    recording.end_at(40_000)
    assert recording.remaining_slots() < 2 * TRAIL_SLOTS + 5
    followed = finish(recording)
    at_once = Following(paths[0], tmp_path / "once.mp3", paths[1])
    at_once.end_at(40_000)
    assert finish(at_once).sha256 == followed.sha256


def test_a_spool_is_missing(tmp_path: Path) -> None:
    """A channel whose spool was never made, or has no header, is silent; none is an error."""
    here = write_spool(tmp_path / "here.spool", tone((1000,), 1000, -12))
    (tmp_path / "torn.spool").write_bytes(b"VBSP")
    for left, right, loud in (
        (here, tmp_path / "none.spool", 0),
        (here, tmp_path / "torn.spool", 0),
        (tmp_path / "none.spool", here, 1),
    ):
        recording = Following(left, tmp_path / "x.mp3", right)
        recording.end_at(8000)
        decoded = decode_libsndfile(finish(recording).path)
        assert goertzel_level_dbfs(decoded[:, loud], 1000) == pytest.approx(-12, abs=1)
        assert np.abs(decoded[:, 1 - loud]).max() < 100
    neither = Following(tmp_path / "none.spool", tmp_path / "x.mp3", tmp_path / "none2.spool")
    neither.end_at(8000)
    with pytest.raises(StoreError):
        neither.finish_step()


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_keys_of_both_sides_are_silenced(tmp_path: Path, law: str) -> None:
    """What either of the two types is in neither channel; what each says around it stays there."""
    sides = {}
    for name, keys, before_ms, hz in (("l", "471", 300, 1000), ("r", "0#", 900, 400)):
        typed = [dtmf_tone(key, 100.0) for key in keys]
        pauses = [np.zeros(800, np.int16)] * len(keys)
        pieces = [piece for pair in zip(typed, pauses, strict=True) for piece in pair]
        spoken = tone((hz,), before_ms, -12)
        sides[name] = np.concatenate([spoken, *pieces, spoken])
    left = write_spool(tmp_path / "l.spool", sides["l"], law)
    right = write_spool(tmp_path / "r.spool", sides["r"], law)
    n_samples = max(len(side) for side in sides.values())
    for shape, is_silenced in ((RecordingShape(silences_keys=True), True), (PLAIN, False)):
        recording = Following(left, tmp_path / f"{is_silenced}.mp3", right, shape)
        recording.end_at(n_samples)
        decoded = decode_libsndfile(finish(recording).path)
        assert decoded.shape == (n_samples, 2)
        for channel, keys, before_ms, hz in ((0, "471", 300, 1000), (1, "0#", 900, 400)):
            heard = decoded[:, channel]
            assert keys_heard(heard) == ("" if is_silenced else keys)
            assert goertzel_level_dbfs(heard[400 : before_ms * 8 - 400], hz) > -13
            after = before_ms * 8 + len(keys) * 1600
            assert goertzel_level_dbfs(heard[after + 400 : after + before_ms * 8 - 400], hz) > -13


async def test_the_pool_and_the_death_of_its_encoder(tmp_path: Path) -> None:
    """Followed, then the child is killed before and during the finish: whole, exact, separate."""
    pool = RenderPool(tmp_path / "cache", tmp_path / "work")
    await pool.start()
    try:
        left = write_spool(tmp_path / "l.spool", tone((1000,), 8000, -12))
        right = write_spool(tmp_path / "r.spool", tone((400,), 8000, -12), "PCMA", 1000.005)
        pool.follow_stereo("rec-a", left, right)
        os.kill(pool.lanes[0].pid or 0, signal.SIGKILL)
        first = await pool.finish_stereo("rec-a", left, right, 64_000)
        pool.follow_stereo("rec-b", left, right)
        finishing = pool.finish_stereo("rec-b", left, right, 64_000 - 1)
        os.kill(pool.lanes[0].pid or 0, signal.SIGKILL)
        second = await finishing
        assert (first.n_samples, second.n_samples) == (64_000, 63_999)
        for encoded in (first, second):
            decoded = decode_libsndfile(encoded.path)
            assert decoded.shape == (encoded.n_samples, 2)
            for side, frequency_hz in enumerate((1000, 400)):
                middle = decoded[1000:-1000]
                assert goertzel_level_dbfs(middle[:, side], frequency_hz) > -13
                assert goertzel_level_dbfs(middle[:, 1 - side], frequency_hz) < -60
        with pytest.raises(EncodeError):
            await pool.finish_stereo("rec-c", tmp_path / "no", tmp_path / "none", 100)
    finally:
        await pool.stop()
