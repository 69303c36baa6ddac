"""Custom audio: .mp3, .wav and .gsm files of any rate and channel count, or a clear no.

The name decides what the content must be (decision 23); libsndfile alone would take
a FLAC named .mp3. Runs in a child of the render pool: the bytes are strangers'.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.resample import TELEPHONE_RATE_HZ as RATE_HZ
from voiceblocks.audio.resample import to_telephone
from voiceblocks.errors import UnreadableAudio

LONGEST_S = 1200
"Twenty minutes decoded: 10 MB can hold hours of it."
MAX_BYTES = 64 << 20
"Far above what the downloader lets through; this is about memory."

_MAX_RATE_HZ = 192_000
_MAX_CHANNELS = 8
_GSM_FRAME_BYTES = 33
_GSM_MAGIC = 0xD
_PIECE_S = 30
_ID3_HEADER_BYTES = 10

_Floats = npt.NDArray[np.float32]


def read_audio_file(path: Path, extension: str) -> Samples:
    """
    Decode a file to mono 8 kHz.

    Args:
        path: The file; its own name does not matter.
        extension: `".mp3"`, `".wav"` or `".gsm"`: what the content must be.

    Returns:
        At least one sample.

    Raises:
        UnreadableAudio: If it is not that, damaged, empty or longer than `LONGEST_S`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableAudio("the file cannot be read") from error
    if len(data) > MAX_BYTES:
        raise UnreadableAudio("too large")
    data_of = _DATA_OF.get(extension)
    if data_of is None:
        raise UnreadableAudio(f"no such format: {extension}")
    data = data_of(data)
    try:
        samples = _decode(data, extension)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise UnreadableAudio(f"not decodable as {extension}") from error
    if len(samples) == 0:
        raise UnreadableAudio("no audio in it")
    return samples


def _mp3_data(data: bytes) -> bytes:
    """Without ID3v2 tags: libsndfile takes no empty ones. Must begin with layer III."""
    start = 0
    while data[start : start + 3] == b"ID3" and len(data) >= start + _ID3_HEADER_BYTES:
        size = 0
        for byte in data[start + 6 : start + _ID3_HEADER_BYTES]:
            size = size << 7 | byte & 0x7F
        start += _ID3_HEADER_BYTES + size
    if _is_layer_3(data[start : start + 4]):
        return data[start:]
    if start == 0 or start >= len(data):
        raise UnreadableAudio("no MP3 frame at the start")
    # Padding that the tag does not count, most likely: the decoder looks further.
    return data


def _is_layer_3(header: bytes) -> bool:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return False
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in (0, 15) and rate != 3


def _wav_data(data: bytes) -> bytes:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UnreadableAudio("no RIFF/WAVE header")
    return data


def _gsm_data(data: bytes) -> bytes:
    """
    Whole frames only.

    Raw GSM 06.10 has no header, but each 33-byte frame begins with the nibble 0xD.
    """
    whole = len(data) // _GSM_FRAME_BYTES * _GSM_FRAME_BYTES
    starts = np.frombuffer(data, np.uint8, whole)[::_GSM_FRAME_BYTES]
    if whole == 0 or not np.all(starts >> 4 == _GSM_MAGIC):
        raise UnreadableAudio("no GSM 06.10 frames")
    return data[:whole]


_DATA_OF = {".mp3": _mp3_data, ".wav": _wav_data, ".gsm": _gsm_data}
_FORMATS = {".mp3": ("MP3", "MPEG"), ".wav": ("WAV", "WAVEX"), ".gsm": ("RAW",)}


def _decode(data: bytes, extension: str) -> Samples:
    raw: dict[str, Any] = {}
    if extension == ".gsm":
        raw = {"format": "RAW", "subtype": "GSM610", "samplerate": RATE_HZ, "channels": 1}
    with soundfile.SoundFile(io.BytesIO(data), **raw) as file:
        if file.format not in _FORMATS[extension]:
            raise UnreadableAudio(f"this is {file.format}")
        rate_hz = int(file.samplerate)
        if not (1000 <= rate_hz <= _MAX_RATE_HZ and 1 <= file.channels <= _MAX_CHANNELS):
            raise UnreadableAudio("an absurd rate or channel count")
        pieces = list(_resample(_blocks(file), rate_hz))
    return np.concatenate(pieces)


def _blocks(file: soundfile.SoundFile) -> Iterator[_Floats]:
    """Mono blocks of about a second."""
    total = 0
    while len(block := file.read(file.samplerate, dtype="float32", always_2d=True)):
        total += len(block)
        if total > LONGEST_S * file.samplerate:
            raise UnreadableAudio(f"longer than {LONGEST_S} s")
        yield block.mean(axis=1)


def _resample(blocks: Iterable[_Floats], rate_hz: int) -> Iterator[Samples]:
    """
    Resample a stream in pieces, so that twenty minutes never lie in memory at full rate.

    Each piece is resampled with a second of its neighbours at either side, which the
    filter's ends fall into, and cut at whole seconds, which are whole samples at any rate.
    """
    held: list[_Floats] = []
    n_held = 0
    context = 0
    for block in blocks:
        held.append(block)
        n_held += len(block)
        if n_held >= (_PIECE_S + 2) * rate_hz:
            joined = np.concatenate(held)
            piece = to_telephone(joined[: (_PIECE_S + 2) * rate_hz], rate_hz)
            yield piece[context : (_PIECE_S + 1) * RATE_HZ]
            held = [joined[_PIECE_S * rate_hz :]]
            n_held = len(held[0])
            context = RATE_HZ
    if held:
        yield to_telephone(np.concatenate(held), rate_hz)[context:]
    else:
        yield np.zeros(0, np.int16)
