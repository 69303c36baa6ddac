"""Sends keys on a leg: as telephone-events (RFC 4733) or, where none were agreed, as tones.

A key takes 100 ms and is followed by a pause of 60 ms. It takes the place of whatever the leg
sends else; a source waits for it, a mix goes on unheard.
"""

from __future__ import annotations

import functools
import struct

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.codecs import codec_named
from voiceblocks.audio.dtmf import dtmf_tone
from voiceblocks.engine.media.messages import Format
from voiceblocks.recordings.spool import SILENCE_BYTE
from voiceblocks.rtp.batch import MARKER, PLAIN
from voiceblocks.rtp.packet import HEADER_BYTES
from voiceblocks.rtp.telephone_event import DIGITS, END_REPEATS, TelephoneEvent

TONE_SAMPLES = 800
PAUSE_SAMPLES = 480
_VOLUME = 10
_HEADER = struct.Struct("!II")

DigitState = tuple[str, int, int, int]


@functools.cache
def _tone(digit: str, law: str) -> bytes:
    codes: npt.NDArray[np.uint8] = codec_named(law).encode(dtmf_tone(digit, TONE_SAMPLES / 8))
    return codes.tobytes() + bytes([SILENCE_BYTE[law]]) * PAUSE_SAMPLES


class DigitSender:
    """
    The keys that one leg has still to send.

    Args:
        state: Keys, samples since the present one began, its timestamp, and how often its end
            was sent; as `state` gives it to a leg that moves.
    """

    __slots__ = ("_elapsed", "_ends", "_left", "_timestamp")

    def __init__(self, state: DigitState) -> None:
        self._left, self._elapsed, self._timestamp, self._ends = state

    @property
    def state(self) -> DigitState:
        """For the constructor."""
        return self._left, self._elapsed, self._timestamp, self._ends

    def add(self, digits: str) -> None:
        """Send these, too."""
        self._left += digits

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to send."""
        return not self._left

    def fill(self, packet: memoryview, fmt: Format, timestamp: int) -> int:
        """
        Make the next packet of the leg one of the key, for as long as it lasts.

        Args:
            packet: Header and payload as they would be sent without it; changed.
            fmt: The leg's present format.
            timestamp: Of the packet.

        Returns:
            Bytes of the packet to send; 0 leaves it as it was.
        """
        samples = len(packet) - HEADER_BYTES
        if fmt.event_payload_type is None:
            return self._fill_tone(packet, fmt.codec, samples)
        return self._fill_event(packet, fmt.event_payload_type, timestamp, samples)

    def _fill_tone(self, packet: memoryview, law: str, samples: int) -> int:
        filled = 0
        while filled < samples and self._left:
            tone = _tone(self._left[0], law)
            part = tone[self._elapsed : self._elapsed + samples - filled]
            start = HEADER_BYTES + filled
            packet[start : start + len(part)] = part
            filled += len(part)
            self._go_on(len(part))
        if filled < samples:
            packet[HEADER_BYTES + filled :] = bytes([SILENCE_BYTE[law]]) * (samples - filled)
        return len(packet)

    def _fill_event(
        self, packet: memoryview, payload_type: int, timestamp: int, samples: int
    ) -> int:
        first = self._elapsed == 0
        if first:
            self._timestamp = timestamp
        self._elapsed += samples
        duration = min(self._elapsed, TONE_SAMPLES)
        is_end = duration == TONE_SAMPLES
        digit = self._left[0]
        if is_end and self._ends == END_REPEATS:
            self._elapsed -= samples
            self._go_on(samples)
            return 0
        self._ends += is_end
        word, _ = _HEADER.unpack_from(packet)
        word = PLAIN | payload_type << 16 | (word & 0xFFFF) | (MARKER if first else 0)
        _HEADER.pack_into(packet, 0, word, self._timestamp)
        event = TelephoneEvent(DIGITS.index(digit), is_end, _VOLUME, duration).serialize()
        packet[HEADER_BYTES : HEADER_BYTES + len(event)] = event
        return HEADER_BYTES + len(event)

    def _go_on(self, samples: int) -> None:
        self._elapsed += samples
        if self._elapsed >= TONE_SAMPLES + PAUSE_SAMPLES:
            self._left = self._left[1:]
            self._elapsed = self._ends = 0
