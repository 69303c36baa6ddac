"""Samples in, a WAV file out (16-bit PCM, 8 kHz), for those who ask for `format=wav`.

The counterpart of `Mp3Writer`. The header's lengths are written at the end; until then the
file says that it is empty. At the end all of it is read back and compared with what was given.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.errors import ContractViolation, EncodeError

SAMPLE_RATE_HZ: Final = 8000
HEADER_BYTES: Final = 44

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1
_SAMPLE_BYTES = 2
_READ_AT_ONCE = 1 << 18


def _header(channels: int, data_bytes: int) -> bytes:
    block_bytes = channels * _SAMPLE_BYTES
    return _HEADER.pack(
        b"RIFF",
        HEADER_BYTES - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * block_bytes,
        block_bytes,
        8 * _SAMPLE_BYTES,
        b"data",
        data_bytes,
    )


class WavWriter:
    """
    Writes one WAV file.

    Args:
        path: The file to make; replaced if it exists, owned until `finish` or `abandon`.
        channels: 1 or 2.

    Raises:
        EncodeError: If the file cannot be made.
    """

    def __init__(self, path: Path, channels: int = 1) -> None:
        self._path = path
        self._channels = channels
        self._n_samples = 0
        self._checksum = 0
        self._open = True
        try:
            self._file = path.open("w+b")
            self._file.write(_header(channels, 0))
        except OSError as error:
            raise EncodeError(f"cannot write {path}") from error

    def write(self, samples: NDArray[np.int16]) -> None:
        """
        Append samples, `int16` of shape `(n,)`, in stereo `(n, 2)`, 8000 a second.

        Raises:
            EncodeError: If the file cannot be written.
            ContractViolation: After `finish` or `abandon`.
        """
        if not self._open:
            raise ContractViolation("the WAV is already finished")
        data = np.ascontiguousarray(samples, "<i2").tobytes()
        try:
            self._file.write(data)
        except OSError as error:
            raise EncodeError(f"cannot write {self._path}") from error
        self._checksum = zlib.crc32(data, self._checksum)
        self._n_samples += len(samples)

    def finish(self) -> tuple[int, int, str]:
        """
        Write the header and close.

        Returns:
            Number of samples, size in bytes, SHA-256 in hex.

        Raises:
            EncodeError: If nothing was written, the file cannot be written, or reads back
                different. The file is removed then.
        """
        try:
            if self._n_samples == 0:
                raise EncodeError("there is no audio to encode")
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
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _finish(self) -> tuple[int, int, str]:
        header = _header(self._channels, self._n_samples * self._channels * _SAMPLE_BYTES)
        self._file.seek(0)
        self._file.write(header)
        self._file.flush()
        self._file.seek(0)
        first = self._file.read(HEADER_BYTES)
        digest = hashlib.sha256(first)
        size, checksum = len(first), 0
        while data := self._file.read(_READ_AT_ONCE):
            digest.update(data)
            checksum = zlib.crc32(data, checksum)
            size += len(data)
        expected = HEADER_BYTES + self._n_samples * self._channels * _SAMPLE_BYTES
        if first != header or size != expected or checksum != self._checksum:
            raise EncodeError(f"{self._path.name} is not what was written when read back")
        return self._n_samples, size, digest.hexdigest()
