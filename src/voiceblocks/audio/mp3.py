"""MPEG audio layer III as bytes: frame headers and the Info frame.

Not an encoder or decoder. What matters here is the *Info frame* (LAME's name for a
Xing header in front of constant-bit-rate audio): a frame of silence whose payload
says how many frames follow and how many samples the encoder put before and after
the sound. A decoder that reads it gives back exactly the samples that went in;
without it everything comes 1105 samples late (decision 17).

Layout after the frame header and empty side information, big-endian:

```
"Info"  flags  frames  bytes  seek table (100)  quality        Xing
version (9)  method  lowpass  peak  gains  flags  bit rate     LAME
delay and padding (12 + 12 bits)  misc  gain  preset
stream bytes  audio CRC  tag CRC
```
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

HEADER_BYTES = 4

DECODER_DELAY_SAMPLES = 529
"""What any layer III decoder itself delays by. Not counted in the delay that an Info
frame states, but padding shorter than this cuts the end off."""

MAX_DELAY_SAMPLES = 4095
"Delay and padding have 12 bits each."

_SAMPLE_RATES_HZ: Final = {
    "1": (44_100, 48_000, 32_000),
    "2": (22_050, 24_000, 16_000),
    "2.5": (11_025, 12_000, 8_000),
}
_VERSIONS: Final = {0: "2.5", 2: "2", 3: "1"}
_BIT_RATES_KBPS_1: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BIT_RATES_KBPS_2: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MONO = 3

_FLAG_FRAMES, _FLAG_BYTES, _FLAG_TABLE, _FLAG_QUALITY = 1, 2, 4, 8
_TABLE_BYTES = 100
_XING_BYTES = 4 + 4 + 4 + 4 + _TABLE_BYTES + 4
_LAME = struct.Struct(">9sBBfHHBB3sBBHIH")
_CRC_BYTES = 2
_METHOD_CBR = 1


def _table_of_crc16() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC16 = _table_of_crc16()


def crc16(data: bytes | bytearray) -> int:
    """The CRC-16 (polynomial 0x8005 reflected, start 0) that LAME tags carry."""
    value = 0
    for byte in data:
        value = _CRC16[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The four bytes that begin a layer III frame (ISO 11172-3 2.4.1.3, 13818-3)."""

    version: str
    '`"1"`, `"2"` or `"2.5"` (the one with 8 kHz).'

    bit_rate_kbps: int
    sample_rate_hz: int

    mono: bool
    padded: bool
    "One byte longer, to keep the average where the frame size is not whole."

    protected: bool
    "A 16-bit CRC follows the header."

    raw: bytes
    "The four bytes."

    @property
    def samples(self) -> int:
        """Samples in a frame, each channel."""
        return 1152 if self.version == "1" else 576

    @property
    def frame_bytes(self) -> int:
        """Length of the whole frame."""
        return self.samples * self.bit_rate_kbps * 125 // self.sample_rate_hz + self.padded

    @property
    def side_info_bytes(self) -> int:
        """Length of the side information after the header (and CRC)."""
        if self.version == "1":
            return 17 if self.mono else 32
        return 9 if self.mono else 17


def parse_header(data: bytes) -> FrameHeader | None:
    """The header at the start of `data`, or `None` if there is none of layer III there."""
    if len(data) < HEADER_BYTES or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version = _VERSIONS.get(data[1] >> 3 & 3)
    layer = data[1] >> 1 & 3
    bit_rate, sample_rate = data[2] >> 4, data[2] >> 2 & 3
    # Bit rate 0 is "free format", 15 and sample rate 3 are forbidden.
    if version is None or layer != 1 or bit_rate in (0, 15) or sample_rate == 3:
        return None
    rates = _BIT_RATES_KBPS_1 if version == "1" else _BIT_RATES_KBPS_2
    return FrameHeader(
        version=version,
        bit_rate_kbps=rates[bit_rate - 1],
        sample_rate_hz=_SAMPLE_RATES_HZ[version][sample_rate],
        mono=data[3] >> 6 == _MONO,
        padded=bool(data[2] & 2),
        protected=not data[1] & 1,
        raw=bytes(data[:HEADER_BYTES]),
    )


def split_frames(data: bytes) -> list[tuple[int, FrameHeader]]:
    """Offset and header of each whole frame, from the start of `data` until none follows."""
    frames = []
    offset = 0
    while (header := parse_header(data[offset : offset + HEADER_BYTES])) is not None:
        if offset + header.frame_bytes > len(data):
            break
        frames.append((offset, header))
        offset += header.frame_bytes
    return frames


def info_header(audio: FrameHeader) -> FrameHeader:
    """
    The header of the Info frame for audio frames like this one.

    The same, but unpadded, without CRC, and at the lowest bit rate of at least the
    audio's whose frame has room (at 8 kHz 16 kbit/s is too small: 24 is taken).
    """
    needed = HEADER_BYTES + audio.side_info_bytes + _XING_BYTES + _LAME.size + _CRC_BYTES
    rates = _BIT_RATES_KBPS_1 if audio.version == "1" else _BIT_RATES_KBPS_2
    for index, rate in enumerate(rates):
        raw = bytes(
            (
                0xFF,
                audio.raw[1] | 1,
                (index + 1) << 4 | audio.raw[2] & 0x0C,
                audio.raw[3],
            )
        )
        header = parse_header(raw)
        if rate >= audio.bit_rate_kbps and header is not None and header.frame_bytes >= needed:
            return header
    raise ValueError("no bit rate has room for an Info frame")  # pragma: no cover


@dataclass(frozen=True, slots=True)
class InfoFrame:
    """What an Info frame says of the stream behind it."""

    frame_count: int
    "Audio frames, the Info frame itself not counted."

    total_bytes: int
    "Of the whole stream, the Info frame included."

    delay_samples: int
    "Samples that the encoder put before the sound; 576 from LAME."

    padding_samples: int
    "Samples behind the sound, to the end of the last frame."

    encoder: str = "LAME3.100"
    "Nine characters; decoders believe the delay only of names that they know."

    quality: int = 0
    "LAME's mark: 100 less 10 times its V setting less its q setting."

    lowpass_hz: int = 0
    "0 where not known."

    @property
    def sample_count(self) -> int:
        """Samples that a decoder gives back (of MPEG-2 and 2.5 audio, 576 a frame)."""
        return self.frame_count * 576 - self.delay_samples - self.padding_samples


def build_info_frame(audio: FrameHeader, info: InfoFrame) -> bytes:
    """
    The Info frame to put before `info.frame_count` frames like `audio`.

    The CRC over the audio, which no decoder checks, is left 0.

    Raises:
        ValueError: If delay or padding do not fit into 12 bits.
    """
    if not (
        0 <= info.delay_samples <= MAX_DELAY_SAMPLES
        and 0 <= info.padding_samples <= MAX_DELAY_SAMPLES
    ):
        raise ValueError("delay and padding are 0 to 4095 samples")
    header = info_header(audio)
    frame = bytearray(header.raw)
    frame += bytes(header.side_info_bytes)
    flags = _FLAG_FRAMES | _FLAG_BYTES | _FLAG_TABLE | _FLAG_QUALITY
    frame += struct.pack(">4sIII", b"Info", flags, info.frame_count, info.total_bytes)
    # At constant bit rate the table of seek points is a straight line.
    frame += bytes(index * 256 // _TABLE_BYTES for index in range(_TABLE_BYTES))
    frame += struct.pack(">I", info.quality)
    frame += _LAME.pack(
        info.encoder.encode("ascii", "replace")[:9].ljust(9),
        _METHOD_CBR,
        min(info.lowpass_hz // 100, 255),
        0.0,
        0,
        0,
        0,
        min(audio.bit_rate_kbps, 255),
        (info.delay_samples << 12 | info.padding_samples).to_bytes(3, "big"),
        0,
        0,
        0,
        info.total_bytes,
        0,
    )
    frame += struct.pack(">H", crc16(frame))
    return bytes(frame.ljust(header.frame_bytes, b"\0"))


def parse_info_frame(data: bytes) -> InfoFrame | None:
    """
    What the Info frame at the start of `data` says, or `None` if there is none.

    Reads the complete layout that `build_info_frame` and LAME write; a tag with a
    wrong CRC counts as none.
    """
    header = parse_header(data)
    if header is None:
        return None
    start = HEADER_BYTES + header.side_info_bytes
    lame_start = start + _XING_BYTES
    crc_start = lame_start + _LAME.size
    all_fields = _FLAG_FRAMES | _FLAG_BYTES | _FLAG_TABLE | _FLAG_QUALITY
    if len(data) < crc_start + _CRC_BYTES or data[start : start + 4] != b"Info":
        return None
    flags, frame_count, total_bytes = struct.unpack_from(">III", data, start + 4)
    (quality,) = struct.unpack_from(">I", data, lame_start - 4)
    (crc,) = struct.unpack_from(">H", data, crc_start)
    if flags & all_fields != all_fields or crc != crc16(data[:crc_start]):
        return None
    fields = _LAME.unpack_from(data, lame_start)
    delays = int.from_bytes(fields[8], "big")
    return InfoFrame(
        frame_count=frame_count,
        total_bytes=total_bytes,
        delay_samples=delays >> 12,
        padding_samples=delays & MAX_DELAY_SAMPLES,
        encoder=fields[0].decode("ascii", "replace"),
        quality=quality,
        lowpass_hz=fields[2] * 100,
    )
