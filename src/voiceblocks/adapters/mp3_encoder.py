"""Samples in, an MP3 of exact length out, a piece at a time (decision 17).

Frame 0 of the file is kept free and becomes the Info frame at the end, when delay,
padding and length are known. Until then the file is not an MP3.

What was written is read back from the file, decoded and compared as the file grows (decision
46), so that at the end only the last piece, frame 0, size and hash are left to check.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import lameenc
import numpy as np
from numpy.typing import NDArray

from voiceblocks.adapters.lame_stereo import keep_channels_apart
from voiceblocks.adapters.mp3_read_back import LEAD_FRAMES, ReadBack, decode_frames
from voiceblocks.audio import mp3
from voiceblocks.errors import ContractViolation, EncodeError

SAMPLE_RATE_HZ: Final = 8000

BIT_RATE_KBPS: Final = 24
STEREO_BIT_RATE_KBPS: Final = 48
"As much for each channel, which are coded apart (`lame_stereo`)."

LAME_QUALITY: Final = 7
"""Bit rate and LAME's effort (0 best … 9 fastest), chosen by measurement.

22.6 s of espeak-ng speech through μ-law, on one 2.6 GHz core: percent of the core
for one call, segmental SNR and log-spectral distance against the input.

| kbit/s | q | cost % | SNR dB | distance dB |
|---|---|---|---|---|
| 16 | 7 | 0.051 | 14.8 | 8.6 |
| 16 | 5 | 0.079 | 13.7 | 8.5 |
| 16 | 2 | 0.129 | 13.3 | 8.8 |
| **24** | **7** | **0.054** | **17.9** | **6.6** |
| 24 | 5 | 0.085 | 16.8 | 6.7 |
| 24 | 2 | 0.164 | 15.9 | 7.1 |
| 32 | 7 | 0.057 | 19.9 | 5.4 |

More effort only shifts noise to where LAME's psychoacoustic model (made for music)
expects it to be masked: it buys nothing measurable for speech and costs 1.5 to 3
times as much. A step in bit rate is worth 2 to 3 dB at almost no cost; 24 kbit/s
(10.8 MB an hour) is also the lowest at which the Info frame has the audio's own
bit rate, so that every frame of a file is alike. Not judged by ear.
"""

ENCODER_DELAY_SAMPLES: Final = 576
"LAME's, at every quality; decoders add `mp3.DECODER_DELAY_SAMPLES` of their own."

READ_BACK_FRAMES: Final = 56
"Four seconds: so much is read back at a time; more often costs more, for the frames before."

_HASHED_AT_ONCE = 1 << 18

_INFO_QUALITY: Final = 100 - LAME_QUALITY


class Mp3Writer:
    """
    Writes one MP3 file: 8 kHz, constant bit rate.

    Not thread-safe, but one thread may write while others write elsewhere: the
    encoder releases the GIL. As a context manager it abandons what was not finished.

    Args:
        path: The file to make; replaced if it exists, owned until `finish` or `abandon`.
        channels: 1 or 2.

    Raises:
        EncodeError: If the file cannot be made.
    """

    def __init__(self, path: Path, channels: int = 1) -> None:
        self._path = path
        self._shape = () if channels == 1 else (channels,)
        self._n_samples = 0
        self._first_header: mp3.FrameHeader | None = None
        self._audio_bytes = 0
        self._open = True
        self._read_back = ReadBack(ENCODER_DELAY_SAMPLES + mp3.DECODER_DELAY_SAMPLES, self._shape)
        self._checksum = 0
        encoder = lameenc.Encoder()
        encoder.silence()
        encoder.set_channels(channels)
        encoder.set_in_sample_rate(SAMPLE_RATE_HZ)
        encoder.set_bit_rate(BIT_RATE_KBPS if channels == 1 else STEREO_BIT_RATE_KBPS)
        encoder.set_quality(LAME_QUALITY)
        if channels == 2:
            keep_channels_apart(encoder, SAMPLE_RATE_HZ)
        self._encoder = encoder
        try:
            self._file = path.open("w+b")
        except OSError as error:
            raise EncodeError(f"cannot write {path}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()

    @property
    def n_samples(self) -> int:
        """Samples written so far, of each channel."""
        return self._n_samples

    def write(self, samples: NDArray[np.int16]) -> None:
        """
        Append samples, `int16` of shape `(n,)`, in stereo `(n, 2)`, 8000 a second.

        How the audio is cut into calls makes no difference to the file.

        Raises:
            EncodeError: If the file cannot be written, or what was written is not what is read
                back.
            ContractViolation: After `finish` or `abandon`, or for another type or shape.
        """
        self._check_open()
        if samples.dtype != np.int16 or samples.ndim == 0 or samples.shape[1:] != self._shape:
            raise ContractViolation(f"int16 (n,) wanted, got {samples.dtype} {samples.shape}")
        if len(samples) == 0:
            return
        self._read_back.expect(samples)
        self._append(self._encoder.encode(np.ascontiguousarray(samples)))
        self._n_samples += len(samples)
        self._check_frames(READ_BACK_FRAMES)

    def finish(self) -> tuple[int, int, str]:
        """
        Flush the encoder, write the Info frame and close.

        Returns:
            Number of samples that a decoder gives back, size in bytes, SHA-256 in hex.

        Raises:
            EncodeError: If nothing was written (no decoder opens an MP3 of no samples),
                or the file cannot be written, or reads back different. The file is removed then.
            ContractViolation: After `finish` or `abandon`.
        """
        self._check_open()
        try:
            result = self._finish()
        except EncodeError:
            self.abandon()
            raise
        except OSError as error:
            self.abandon()
            raise EncodeError(f"cannot write {self._path}") from error
        self._open = False
        self._file.close()
        return result

    def abandon(self) -> None:
        """Close and remove the file, unless it was finished. Doing so twice is fine."""
        if self._open:
            self._open = False
            # On a full disk closing fails too, with what is still buffered.
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _finish(self) -> tuple[int, int, str]:
        if self._n_samples == 0:
            raise EncodeError("there is no audio to encode")
        self._append(self._encoder.flush())
        header = self._first_header
        if header is None:
            raise EncodeError("the encoder gave no frame")
        frame_count, rest = divmod(self._audio_bytes, header.frame_bytes)
        padding = frame_count * header.samples - ENCODER_DELAY_SAMPLES - self._n_samples
        if rest or padding < mp3.DECODER_DELAY_SAMPLES:
            raise EncodeError(
                f"{self._n_samples} samples became {self._audio_bytes} bytes: not LAME's framing"
            )
        info = mp3.InfoFrame(
            frame_count=frame_count,
            total_bytes=mp3.info_header(header).frame_bytes + self._audio_bytes,
            delay_samples=ENCODER_DELAY_SAMPLES,
            padding_samples=padding,
            quality=_INFO_QUALITY,
        )
        self._file.seek(0)
        self._file.write(mp3.build_info_frame(header, info))
        self._check_frames(1)
        if self._read_back.n_frames != frame_count:
            raise EncodeError(f"of {frame_count} frames {self._read_back.n_frames} were read back")
        return self._n_samples, info.total_bytes, self._hash_of(info)

    def _check_frames(self, at_least: int) -> None:
        """Read back, decode and compare the frames that were not yet, if they are so many."""
        header = self._first_header
        if header is None:
            return
        size = header.frame_bytes
        done = self._read_back.n_frames
        n_new = self._audio_bytes // size - done
        if n_new < at_least:
            return
        n_lead = min(LEAD_FRAMES, done)
        begin = mp3.info_header(header).frame_bytes + (done - n_lead) * size
        try:
            self._file.flush()
            data = os.pread(self._file.fileno(), (n_lead + n_new) * size, begin)
        except OSError as error:
            raise EncodeError(f"cannot read {self._path} back") from error
        self._read_back.compare(decode_frames(data, n_lead), n_new)
        self._checksum = zlib.crc32(memoryview(data)[n_lead * size :], self._checksum)

    def _hash_of(self, info: mp3.InfoFrame) -> str:
        """The SHA-256 of a file whose frame 0, audio and size are what they should be."""
        assert self._first_header is not None
        audio_begins = mp3.info_header(self._first_header).frame_bytes
        digest = hashlib.sha256()
        checksum = 0
        self._file.seek(0)
        first = self._file.read(audio_begins)
        digest.update(first)
        size = len(first)
        while data := self._file.read(_HASHED_AT_ONCE):
            digest.update(data)
            checksum = zlib.crc32(data, checksum)
            size += len(data)
        if (
            mp3.parse_info_frame(first) != info
            or size != info.total_bytes
            or checksum != self._checksum
        ):
            raise EncodeError(f"{self._path.name} is not what was written when read back")
        return digest.hexdigest()

    def _append(self, data: bytes | bytearray) -> None:
        if not data:
            return
        try:
            if self._first_header is None:
                self._first_header = mp3.parse_header(bytes(data[: mp3.HEADER_BYTES]))
                if self._first_header is None:
                    raise EncodeError("the encoder gave no MPEG frame")
                self._file.write(bytes(mp3.info_header(self._first_header).frame_bytes))
            self._file.write(data)
        except OSError as error:
            raise EncodeError(f"cannot write {self._path}") from error
        self._audio_bytes += len(data)

    def _check_open(self) -> None:
        if not self._open:
            raise ContractViolation("the MP3 is already finished")
