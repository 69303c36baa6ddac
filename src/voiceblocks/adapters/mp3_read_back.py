"""What was written of an MP3, read back, decoded and compared with what it was made of.

A frame is right when the decoder gives it whole and it sounds like its input. The codec adds
noise, so they are compared by energy: what differs may be `MOST_DIFFERENT` of the energy that
is around there. Measured at 24 kbit/s: at most 0.11, for clicks in silence, and 0.03 for full-scale
noise; a frame that is missing in a steady sound has 0.4, a frame of another place 0.8 and more.
Compared is what a telephone carries: close to 4 kHz the encoder drops what nobody hears.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceblocks.audio import mp3
from voiceblocks.errors import EncodeError

LEAD_FRAMES: Final = 4
"""Frames that are read before the one that counts: the bit reservoir reaches back 255 bytes, not
two frames; each frame overlaps with the one before, and so does the filter bank behind that."""

_MUTED_FRAMES: Final = 2
_FARTHEST_BACK = 255
FRAME: Final = 576
MOST_DIFFERENT: Final = 0.25
_NOTHING: Final = FRAME * 20.0**2
"Energy of a frame that is as good as silent: 20 of 32768."
_AROUND = np.array([0.25, 0.5, 1, 0.5, 0.25])
_TELEPHONE_BAND = np.array([1, 4, 6, 4, 1]) / 16

_Floats = NDArray[np.float64]


def decode_frames(data: bytes, n_lead: int) -> NDArray[np.int16]:
    """
    Decode whole frames; what the first `n_lead` of them sound like is left out.

    The very first of several leading frames only fill the bit reservoir, since what they
    themselves refer to is not there.

    Args:
        data: Frames, nothing else.
        n_lead: `LEAD_FRAMES`, or less where `data` begins a file.

    Returns:
        Shape `(n,)`, in stereo `(n, 2)`, 576 for each frame.

    Raises:
        EncodeError: If this is no MP3.
    """
    frames = bytearray(data)
    if n_lead == LEAD_FRAMES:
        for offset, header in mp3.split_frames(data)[:_MUTED_FRAMES]:
            start = offset + mp3.HEADER_BYTES
            # No sound. The second reaches back as far as can be, so that a decoder keeps the first.
            side_info = bytes([_FARTHEST_BACK if offset else 0]).ljust(
                header.side_info_bytes, b"\0"
            )
            frames[start : start + header.side_info_bytes] = side_info
    try:
        with soundfile.SoundFile(io.BytesIO(frames)) as file:
            samples: NDArray[np.int16] = file.read(dtype="int16")
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise EncodeError("what was written of the MP3 is none when read back") from error
    return samples[n_lead * FRAME :]


class ReadBack:
    """
    Compares an MP3 with its input, piece by piece.

    Args:
        delay_samples: How much later than its input a decoder gives each sample.
        shape: Of one sample: `()`, in stereo `(2,)`.
    """

    def __init__(self, delay_samples: int, shape: tuple[int, ...]) -> None:
        self._delay = delay_samples
        self._input = np.zeros((delay_samples, *shape), np.int16)
        self._begins = 0
        self.n_frames = 0
        "Frames that were found right."

    def expect(self, samples: NDArray[np.int16]) -> None:
        """What is encoded next."""
        self._input = np.concatenate((self._input, samples))

    def compare(self, decoded: NDArray[np.int16], n_frames: int) -> None:
        """
        Compare the next frames.

        Args:
            decoded: What a decoder gives for them.
            n_frames: How many they should be.

        Raises:
            EncodeError: If they are not that many, or sound different.
        """
        if decoded.shape != (n_frames * FRAME, *self._input.shape[1:]):
            raise EncodeError(f"{n_frames} frames were written, {len(decoded)} samples read back")
        if n_frames == 0:
            return
        # Two frames more on either side, for what is around.
        before = self.n_frames * FRAME - self._begins
        first, after = before - 2 * FRAME, before + (n_frames + 2) * FRAME
        known = self._input[max(0, first) : after].astype(np.float64)
        edges = [(max(0, -first), after - first - max(0, -first) - len(known))]
        around = np.pad(known, edges + [(0, 0)] * (known.ndim - 1))
        wrong = _in_band(around[2 * FRAME : -2 * FRAME] - decoded)
        energy = np.convolve(_energies(_in_band(around)), _AROUND, "same")[2:-2]
        different = _energies(wrong) > MOST_DIFFERENT * (energy + _NOTHING)
        if different.any():
            index = self.n_frames + int(different.argmax())
            raise EncodeError(f"frame {index} of the MP3 sounds different when read back")
        self.n_frames += n_frames
        keep_from = max(0, before + (n_frames - 2) * FRAME)
        self._input = self._input[keep_from:]
        self._begins += keep_from


def _in_band(samples: _Floats) -> _Floats:
    # Mirrored, a sound goes on beyond the ends; cut off, it would be heard at all frequencies.
    margin = len(_TELEPHONE_BAND) // 2
    wide = np.pad(samples.reshape(len(samples), -1), [(margin, margin), (0, 0)], "reflect")
    filtered = [np.convolve(channel, _TELEPHONE_BAND, "valid") for channel in wide.T]
    return np.stack(filtered, axis=1)


def _energies(samples: _Floats) -> _Floats:
    """Of each frame, all channels together."""
    energies: _Floats = (samples**2).reshape(-1, FRAME * samples.shape[1]).sum(axis=1)
    return energies
