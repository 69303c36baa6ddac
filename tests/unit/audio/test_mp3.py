"""MPEG frame headers and the Info frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio.mp3 import (
    InfoFrame,
    build_info_frame,
    crc16,
    info_header,
    parse_header,
    parse_info_frame,
    split_frames,
)

TELEPHONE = bytes.fromhex("ffe328c4")
"16 kbit/s, 8 kHz, mono, as LAME writes it."


@pytest.mark.parametrize(
    ("raw", "version", "kbps", "rate_hz", "mono", "samples", "frame_bytes", "side_info"),
    [
        ("ffe328c4", "2.5", 16, 8000, True, 576, 144, 9),
        ("ffe338c4", "2.5", 24, 8000, True, 576, 216, 9),
        ("ffe32004", "2.5", 16, 11025, False, 576, 104, 17),
        ("fff348c4", "2", 32, 16000, True, 576, 144, 9),
        ("fffb9000", "1", 128, 44100, False, 1152, 417, 32),
        ("fffb9200", "1", 128, 44100, False, 1152, 418, 32),
        ("fffa94c0", "1", 128, 48000, True, 1152, 384, 17),
    ],
)
def test_known_headers(
    raw: str,
    version: str,
    kbps: int,
    rate_hz: int,
    mono: bool,
    samples: int,
    frame_bytes: int,
    side_info: int,
) -> None:
    """Headers of all three versions are read as the standards lay them out."""
    header = parse_header(bytes.fromhex(raw))
    assert header is not None
    assert (header.version, header.bit_rate_kbps, header.sample_rate_hz) == (version, kbps, rate_hz)
    assert (header.mono, header.samples, header.frame_bytes) == (mono, samples, frame_bytes)
    assert header.side_info_bytes == side_info
    assert header.protected == (raw[:4] == "fffa")


@pytest.mark.parametrize("raw", ["", "ffe328", "00e328c4", "ff0328c4", "ffeb28c4", "ffe528c4"])
def test_what_is_no_header(raw: str) -> None:
    """Short data, no sync, the reserved version and other layers give None."""
    assert parse_header(bytes.fromhex(raw)) is None


@pytest.mark.parametrize("third", [0x08, 0xF8, 0x2C])
def test_forbidden_rates(third: int) -> None:
    """Free format and the forbidden bit and sample rates give None."""
    assert parse_header(bytes((0xFF, 0xE3, third, 0xC4))) is None


def test_frames_are_counted_to_the_last_whole_one() -> None:
    """Frames are found one after another; a cut one and junk end the list."""
    frame = TELEPHONE.ljust(144, b"\1")
    assert [offset for offset, _ in split_frames(frame * 3 + frame[:100])] == [0, 144, 288]
    assert len(split_frames(frame + b"TAG" + frame)) == 1
    assert split_frames(b"") == []


def test_crc_known_value() -> None:
    """CRC-16/ARC of the usual check string."""
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize(
    ("raw", "kbps"),
    [("ffe318c4", 24), ("ffe328c4", 24), ("ffe338c4", 24), ("ffe348c4", 32), ("fffb1000", 64)],
)
def test_info_header_takes_the_first_rate_with_room(raw: str, kbps: int) -> None:
    """At least the audio's bit rate, more only where its frame is too small."""
    audio = parse_header(bytes.fromhex(raw))
    assert audio is not None
    header = info_header(audio)
    assert header.bit_rate_kbps == kbps
    assert (header.sample_rate_hz, header.mono) == (audio.sample_rate_hz, audio.mono)
    assert not header.padded
    assert not header.protected


def test_layout_of_the_info_frame() -> None:
    """Every field lies where LAME and its readers have it."""
    audio = parse_header(TELEPHONE)
    assert audio is not None
    frame = build_info_frame(audio, InfoFrame(7, 1224, 576, 1000, quality=93, lowpass_hz=3400))
    assert len(frame) == 216
    assert frame[:4].hex() == "ffe338c4"
    assert frame[4:13] == bytes(9)
    assert frame[13:17] == b"Info"
    assert frame[17:29] == bytes((0, 0, 0, 15, 0, 0, 0, 7, 0, 0, 4, 200))
    assert (frame[29], frame[79], frame[128]) == (0, 128, 253)
    assert frame[129:133] == bytes((0, 0, 0, 93))
    assert frame[133:142] == b"LAME3.100"
    assert (frame[142], frame[143], frame[153]) == (1, 34, 16)
    assert frame[154:157].hex() == f"{576:03x}{1000:03x}"
    assert frame[161:165] == bytes((0, 0, 4, 200))
    assert int.from_bytes(frame[167:169], "big") == crc16(frame[:167])
    assert frame[169:] == bytes(47)


def test_sample_count() -> None:
    """What decoders give back is the frames less delay and padding."""
    assert InfoFrame(3, 0, 576, 1151).sample_count == 1


@pytest.mark.parametrize(("delay", "padding"), [(4096, 0), (0, 4096), (-1, 0)])
def test_delays_must_fit(delay: int, padding: int) -> None:
    """12 bits each, or a ValueError."""
    audio = parse_header(TELEPHONE)
    assert audio is not None
    with pytest.raises(ValueError, match="0 to 4095"):
        build_info_frame(audio, InfoFrame(1, 1, delay, padding))


_infos = st.builds(
    InfoFrame,
    frame_count=st.integers(0, 2**32 - 1),
    total_bytes=st.integers(0, 2**32 - 1),
    delay_samples=st.integers(0, 4095),
    padding_samples=st.integers(0, 4095),
    encoder=st.just("LAME3.100") | st.text("abc0", min_size=9, max_size=9),
    quality=st.integers(0, 100),
    lowpass_hz=st.integers(0, 255).map(lambda hundreds: hundreds * 100),
)


@given(_infos, st.sampled_from(["ffe328c4", "fffb9000", "fff348c4"]))
def test_parse_is_the_inverse_of_build(info: InfoFrame, raw: str) -> None:
    """Any Info frame is read back as it was built."""
    audio = parse_header(bytes.fromhex(raw))
    assert audio is not None
    assert parse_info_frame(build_info_frame(audio, info)) == info


@given(st.binary(max_size=300), st.integers(0, 168), st.integers(1, 255))
def test_damage_is_noticed(data: bytes, position: int, change: int) -> None:
    """Any bytes give None or a value, and one changed byte of a tag always gives None."""
    parse_info_frame(data)
    parse_info_frame(TELEPHONE + data)
    audio = parse_header(TELEPHONE)
    assert audio is not None
    frame = bytearray(build_info_frame(audio, InfoFrame(7, 1224, 576, 1000)))
    assert parse_info_frame(bytes(frame[:168])) is None
    frame[position] ^= change
    assert parse_info_frame(bytes(frame)) is None
