"""The audio codecs that we speak, as one table.

A new codec is a module of its own with `encode` and `decode`, and one record here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voiceblocks.audio import g711
from voiceblocks.audio.g711 import Codes, Samples


@dataclass(frozen=True, slots=True)
class Codec:
    """One RTP audio encoding, mono."""

    name: str
    'RTP encoding name, e.g. `"PCMU"`.'

    payload_type: int
    "Static payload type of RFC 3551."

    encode: Callable[[Samples], Codes]
    "Samples to payload bytes."

    decode: Callable[[Codes], Samples]
    "Payload bytes to samples."

    silence_byte: int
    "What fills a frame with silence."

    priority: int
    "Lower is offered first."

    clock_rate_hz: int = 8000
    "RTP timestamp ticks a second."

    sample_rate_hz: int = 8000
    "Samples a second."


CODECS: Final = (
    Codec("PCMU", 0, g711.ulaw_encode, g711.ulaw_decode, g711.SILENCE["PCMU"], priority=0),
    Codec("PCMA", 8, g711.alaw_encode, g711.alaw_decode, g711.SILENCE["PCMA"], priority=1),
)
"All codecs, preferred first."

_BY_NAME = {codec.name: codec for codec in CODECS}
_BY_PAYLOAD_TYPE = {codec.payload_type: codec for codec in CODECS}


def codec_named(name: str) -> Codec:
    """The codec with this RTP encoding name, in any case.

    Raises:
        KeyError: If we do not speak it.
    """
    return _BY_NAME[name.upper()]


def codec_for_payload_type(payload_type: int) -> Codec | None:
    """The codec that has this static payload type, or `None`."""
    return _BY_PAYLOAD_TYPE.get(payload_type)
