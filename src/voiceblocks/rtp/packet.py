"""One RTP packet as a value (RFC 3550 section 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from voiceblocks.errors import RemoteRtpError

HEADER_BYTES = 12
RTP_VERSION = 2

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """An RTP packet; `serialize` is the inverse of `parse` except for padding, which is dropped."""

    payload_type: int
    "0 to 127."
    sequence: int
    "16 bits."
    timestamp: int
    "32 bits, in ticks of the clock rate (8000 a second for G.711)."
    ssrc: int
    "32 bits."
    payload: bytes = b""
    "Without padding."
    marker: bool = False
    csrc: tuple[int, ...] = ()
    "At most 15 contributing sources."
    extension: tuple[int, bytes] | None = None
    "Profile number and body (a multiple of 4 bytes), section 5.3.1."

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> RtpPacket:
        """
        Read one datagram.

        Raises:
            RemoteRtpError: When it is no RTP packet of version 2 or is cut short.
        """
        if len(data) < HEADER_BYTES:
            raise RemoteRtpError("RTP packet is shorter than its header")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first >> 6 != RTP_VERSION:
            raise RemoteRtpError("RTP version is not 2")
        start = HEADER_BYTES + 4 * (first & 0x0F)
        if len(data) < start:
            raise RemoteRtpError("RTP CSRC list is truncated")
        csrc = struct.unpack_from(f"!{first & 0x0F}I", data, HEADER_BYTES)
        extension = None
        if first & 0x10:
            if len(data) < start + 4:
                raise RemoteRtpError("RTP extension header is truncated")
            profile, words = _EXTENSION.unpack_from(data, start)
            start += 4
            if len(data) < start + 4 * words:
                raise RemoteRtpError("RTP extension body is truncated")
            extension = (profile, bytes(data[start : start + 4 * words]))
            start += 4 * words
        end = len(data)
        if first & 0x20:
            padding = data[-1] if end > start else 0
            if not 0 < padding <= end - start:
                raise RemoteRtpError("RTP padding length is invalid")
            end -= padding
        return cls(
            payload_type=second & 0x7F,
            sequence=sequence,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=bytes(data[start:end]),
            marker=bool(second & 0x80),
            csrc=csrc,
            extension=extension,
        )

    def serialize(self) -> bytes:
        """Return the datagram."""
        first = RTP_VERSION << 6 | (0x10 if self.extension is not None else 0) | len(self.csrc)
        header = _HEADER.pack(
            first,
            self.payload_type | (0x80 if self.marker else 0),
            self.sequence,
            self.timestamp,
            self.ssrc,
        )
        parts = [header, struct.pack(f"!{len(self.csrc)}I", *self.csrc)]
        if self.extension is not None:
            profile, body = self.extension
            parts += [_EXTENSION.pack(profile, len(body) // 4), body]
        parts.append(self.payload)
        return b"".join(parts)
