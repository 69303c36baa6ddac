"""Events as bytes: msgpack, deflated. A SIP message shrinks to a third, repeats to much less."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from voiceblocks.errors import StoreError
from voiceblocks.stories.model import AnyEvent

_LEVEL: Final = 1
_LARGEST_BYTES: Final = 16 << 20
"Of what is inflated: far above what is ever written."

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[AnyEvent])


def pack(events: Sequence[AnyEvent]) -> bytes:
    """Return a batch as it is stored."""
    return zlib.compress(_encoder.encode(events), _LEVEL)


def unpack(data: bytes) -> list[AnyEvent]:
    """
    Return the events of a batch.

    Raises:
        StoreError: If it is none of ours.
    """
    try:
        inflated = zlib.decompressobj().decompress(data, _LARGEST_BYTES)
        return _decoder.decode(inflated)
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreError("a batch of a call's story cannot be read") from error
