"""The process that holds libespeak-ng: text in, 16-bit audio or phonemes out, one text at a time.

espeak-ng is GPL-3.0-or-later and corrupts memory when two threads call it. So it
lives here, alone, behind a socket pair (`adapters/espeak.py` is the other end), and
nothing else of ours ever loads it. Started as `python -m … FD LIBRARY DATA_DIR`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import msgspec

from voiceblocks import ipc

CHUNK_BYTES = 64_000
"Of audio in one message; well under `ipc.MAX_MESSAGE_BYTES`."

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PHONEMES_AS_IPA = 0x02
_POSITION_CHARACTER = 1
_RATE_PARAMETER = 1
_BUFFER_MS = 200


class Speak(msgspec.Struct, frozen=True, tag="speak"):
    """Speak `text`; answered by any number of `Sound` and one `Spoken`."""

    text: str
    voice: str
    words_per_minute: int


class Phonemize(msgspec.Struct, frozen=True, tag="phonemize"):
    """Say how `text` is pronounced; answered by one `Phonemes`."""

    text: str
    voice: str


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The library is loaded."""

    version: str
    rate_hz: int


class Sound(msgspec.Struct, frozen=True, tag="sound"):
    """The next piece of the answer."""

    pcm: bytes
    "Native-endian int16, mono."


class Spoken(msgspec.Struct, frozen=True, tag="spoken"):
    """The end of the answer."""

    error: str = ""
    "Empty, or why there is no sound."


class Phonemes(msgspec.Struct, frozen=True, tag="phonemes"):
    """A pronunciation, clause by clause."""

    clauses: list[tuple[str, str]]
    "IPA, and the piece of the text that it stands for, with the punctuation at its end."
    error: str = ""
    "Empty, or why there is none."


ToEspeak = Speak | Phonemize
FromEspeak = Started | Sound | Spoken | Phonemes


class _Library:
    """The few functions of `speak_lib.h` that are needed, with their types."""

    _CALLBACK = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )

    def __init__(self, library_path: str, data_dir: str) -> None:
        self._lib = ctypes.CDLL(library_path)
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._lib.espeak_TextToPhonemes.argtypes = [
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.c_int,
        ]
        self.rate_hz: int = self._lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS,
            _BUFFER_MS,
            data_dir.encode() if data_dir else None,
            _INITIALIZE_DONT_EXIT,
        )
        if self.rate_hz <= 0:
            raise OSError(f"espeak_Initialize answered {self.rate_hz}")
        version = self._lib.espeak_Info(None)
        self.version: str = version.decode("ascii", "replace").split()[0]
        self._on_sound: Callable[[bytes], None] = lambda _pcm: None
        # The library keeps the pointer, so the object must live as long as it does.
        self._callback = self._CALLBACK(self._receive)
        self._lib.espeak_SetSynthCallback(self._callback)

    def speak(self, request: Speak, on_sound: Callable[[bytes], None]) -> str:
        """Hand all audio to `on_sound`; return an error sentence, or nothing."""
        if self._lib.espeak_SetVoiceByName(request.voice.encode()) != 0:
            return f"no voice {request.voice}"
        self._lib.espeak_SetParameter(_RATE_PARAMETER, request.words_per_minute, 0)
        self._on_sound = on_sound
        # A NUL would end the text early for the library.
        text = request.text.replace("\0", " ").encode() + b"\0"
        result = self._lib.espeak_Synth(
            text, len(text), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._lib.espeak_Synchronize()
        return f"espeak_Synth answered {result}" if result != 0 else ""

    def phonemize(self, request: Phonemize) -> Phonemes:
        """Read one clause after the other, as the library does before it speaks."""
        if self._lib.espeak_SetVoiceByName(request.voice.encode()) != 0:
            return Phonemes([], f"no voice {request.voice}")
        text = request.text.replace("\0", " ").encode()
        held = ctypes.create_string_buffer(text)
        begin = ctypes.addressof(held)
        at = ctypes.c_void_p(begin)
        clauses: list[tuple[str, str]] = []
        start = 0
        while at.value:
            read = self._lib.espeak_TextToPhonemes(ctypes.byref(at), _CHARS_UTF8, _PHONEMES_AS_IPA)
            end = len(text) if not at.value else _before_last(text, at.value - begin)
            piece = text[start:end].decode("utf-8", "replace")
            clauses.append(((read or b"").decode("utf-8", "replace"), piece))
            start = end
        return Phonemes(clauses)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if samples and count > 0:
            try:
                self._on_sound(ctypes.string_at(samples, count * 2))
            except OSError:
                # The other end is gone; a callback cannot raise, but it can stop the text.
                return 1
        return 0


def _before_last(text: bytes, end: int) -> int:
    """Where the last character before `end` begins: the library reads one into the next clause."""
    end -= 1
    while end > 0 and text[end] & 0xC0 == 0x80:
        end -= 1
    return max(end, 0)


def main(argv: list[str]) -> int:
    """Serve until the other end closes."""
    channel: ipc.Channel[ToEspeak] = ipc.Channel(ipc.child_socket(argv), ToEspeak)
    try:
        library = _Library(argv[2], argv[3])
    except OSError:
        # A wheel for another machine, say: the other end sees us go and tells its caller.
        return 1
    channel.send(Started(version=library.version, rate_hz=library.rate_hz))

    def send_sound(pcm: bytes) -> None:
        for start in range(0, len(pcm), CHUNK_BYTES):
            channel.send(Sound(pcm=pcm[start : start + CHUNK_BYTES]))

    try:
        while (received := channel.receive()) is not None:
            request = received[0]
            if isinstance(request, Phonemize):
                channel.send(library.phonemize(request))
            else:
                channel.send(Spoken(error=library.speak(request, send_sound)))
    except (BrokenPipeError, ConnectionResetError):
        # The other end gave up on this text and went away.
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
