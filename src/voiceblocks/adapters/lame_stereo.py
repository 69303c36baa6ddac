"""Tells LAME to keep two channels apart.

Left to itself LAME codes frames of a quiet moment as sum and difference, and what is said there
on one side is heard 30 dB below on the other. `lameenc` has no name for the setting, but the
library inside it has: its functions are exported, and the one pointer of an `Encoder` object is
LAME's own state, which begins with a mark. Where any of this is not as known (another build of
lameenc), nothing is touched, and LAME decides (decision 40).
"""

from __future__ import annotations

import ctypes
from typing import Final

import lameenc

_LAME_ID: Final = 0xFFF88E3B
_STEREO: Final = 0
"`MPEG_mode` of lame.h: two channels, each coded for itself."
_OBJECT_HEAD_BYTES: Final = 16
_ENCODER_BYTES: Final = 32


def keep_channels_apart(encoder: lameenc.Encoder, sample_rate_hz: int) -> bool:
    """
    Set the mode of an encoder that has not encoded anything.

    Args:
        encoder: Its channels and input rate are set.
        sample_rate_hz: That rate; asked back, to be sure.

    Returns:
        Whether it could be done.
    """
    if type(encoder).__basicsize__ != _ENCODER_BYTES:
        return False
    state = ctypes.c_void_p.from_address(id(encoder) + _OBJECT_HEAD_BYTES).value
    if not state or ctypes.c_uint32.from_address(state).value != _LAME_ID:
        return False
    try:
        library = ctypes.CDLL(lameenc.__file__)
        rate_of, set_mode = library.lame_get_in_samplerate, library.lame_set_mode
    except (OSError, AttributeError):
        return False
    rate_of.argtypes = (ctypes.c_void_p,)
    set_mode.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return bool(rate_of(state) == sample_rate_hz and set_mode(state, _STEREO) == 0)
