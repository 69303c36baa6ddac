"""Speech by espeak-ng, from the outside: a child process or Debian's command.

espeak-ng is GPL and not thread-safe, so its code runs in a process of its own
(`espeak_process`, loading the library of the `espeakng-loader` wheel) or as the
`espeak-ng` command. This side is synchronous and belongs to one thread, normally
that of the speech child of the render pool. A crash or a hang there is an error of
the text being spoken, and the next text gets a new process.
"""

from __future__ import annotations

import importlib.util
import select
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from voiceblocks import ipc
from voiceblocks.adapters.espeak_process import (
    FromEspeak,
    Phonemes,
    Phonemize,
    Sound,
    Speak,
    Spoken,
    Started,
    ToEspeak,
)
from voiceblocks.errors import SynthesisError
from voiceblocks.speech.languages import Grade, find_language

Samples = npt.NDArray[np.int16]
T = TypeVar("T")

Clause = tuple[str, str]
"IPA, and the piece of text that it stands for."

WORDS_PER_MINUTE = 160
"A little slower than espeak's 175: on a telephone consonants are hard enough to hear."

_LIBRARY_NAMES = {"darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"}
_START_LIMIT_S = 15.0
# Measured: 45 ms of work for 1000 characters. The limit is there for a hang, and a busy
# machine must not look like one.
_TEXT_LIMIT_S = 5.0
_CHARACTER_LIMIT_S = 0.01
# A process that was killed from outside deserves a second try; a text that kills twice does not.
_ATTEMPTS = 2

# The command line knows this as another name of "en" (which is British), the library does not.
_SAME_VOICE = {"en-gb": "en"}
# By measured pitch (about 200 and 107 Hz) and for their stronger consonants, which is what a
# telephone band takes away; neither of them has the roughness of the f3 variant.
_VARIANTS = {"female": "f2", "male": "m3"}


def voice_name(language: str, gender: str) -> str:
    """
    The espeak voice for a language of `speech.languages` and `"female"` or `"male"`.

    Raises:
        SynthesisError: If there is none.
    """
    found = find_language(language)
    if found is None or found.espeak is Grade.NOT or gender not in _VARIANTS:
        raise SynthesisError(f"no {gender} voice for {language}")
    voice = _SAME_VOICE.get(found.espeak_voice, found.espeak_voice)
    return f"{voice}+{_VARIANTS[gender]}"


class EspeakEngine(Protocol):
    """One way to run espeak-ng. Not thread-safe."""

    version: str
    "Such as `1.52.0`."

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """
        Speak `text`, whatever its markup, with a voice of espeak's.

        Returns:
            `int16` `(n_samples,)`, and its sample rate in Hz.

        Raises:
            SynthesisError: If it crashed, hung or knows no such voice.
        """
        ...

    def phonemize(self, text: str, voice: str) -> list[Clause]:
        """
        How `text` is pronounced, clause by clause, in IPA.

        Raises:
            SynthesisError: As `synthesize` does.
        """
        ...

    def close(self) -> None:
        """End the process, if there is one."""
        ...


def find_engine() -> EspeakEngine | None:
    """The wheel's library if installed, else Debian's command, else `None`."""
    # The wheel is located, not imported: it carries GPL code.
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)))
        library = folder / _LIBRARY_NAMES.get(sys.platform, "libespeak-ng.so")
        if library.exists():
            try:
                return EspeakLibrary(library, folder / "espeak-ng-data")
            except SynthesisError:
                # A wheel for another libc, say; the command may still do.
                pass
    command = shutil.which("espeak-ng")
    if command is None:
        return None
    try:
        return EspeakCommand(Path(command))
    except SynthesisError:
        return None


class EspeakLibrary:
    """
    libespeak-ng in a child process.

    Args:
        library: The shared object.
        data_dir: Its `espeak-ng-data`.

    Raises:
        SynthesisError: If the library cannot be loaded.
    """

    def __init__(self, library: Path, data_dir: Path) -> None:
        self._library = library
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: ipc.Channel[FromEspeak] | None = None
        self._rate_hz = 0
        self.version = ""
        self._start()

    @property
    def pid(self) -> int | None:
        """Of the child; `None` while there is none."""
        return self._process.pid if self._process else None

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """See `EspeakEngine`."""
        return self._try(lambda: self._speak(text, voice)), self._rate_hz

    def phonemize(self, text: str, voice: str) -> list[Clause]:
        """See `EspeakEngine`."""
        return self._try(lambda: self._phonemize(text, voice))

    def _try(self, ask: Callable[[], T]) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return ask()
            except EOFError as error:
                self.close()
                if attempt == _ATTEMPTS:
                    raise SynthesisError("espeak-ng died of this text") from error
            except TimeoutError as error:
                self.close()
                raise SynthesisError("espeak-ng took too long") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the child; the next text starts another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> ipc.Channel[FromEspeak]:
        self._process, sock = ipc.spawn(
            "voiceblocks.adapters.espeak_process", str(self._library), str(self._data_dir)
        )
        self._channel = ipc.Channel(sock, FromEspeak)
        try:
            started = self._receive(time.monotonic() + _START_LIMIT_S)
        except (EOFError, TimeoutError) as error:
            self.close()
            raise SynthesisError(f"{self._library} cannot be loaded") from error
        if not isinstance(started, Started):
            raise SynthesisError("espeak-ng answered out of turn")
        self.version, self._rate_hz = started.version, started.rate_hz
        return self._channel

    def _ask(self, question: ToEspeak) -> float:
        """Send it, to a new child if need be; returns the deadline for the answer."""
        channel = self._channel or self._start()
        deadline = time.monotonic() + _TEXT_LIMIT_S + len(question.text) * _CHARACTER_LIMIT_S
        try:
            channel.send(question)
        except OSError as error:
            raise EOFError from error
        return deadline

    def _phonemize(self, text: str, voice: str) -> list[Clause]:
        answer = self._receive(self._ask(Phonemize(text=text, voice=voice)))
        if not isinstance(answer, Phonemes):
            raise SynthesisError("espeak-ng answered out of turn")
        if answer.error:
            raise SynthesisError(answer.error)
        return answer.clauses

    def _speak(self, text: str, voice: str) -> Samples:
        question = Speak(text=text, voice=voice, words_per_minute=WORDS_PER_MINUTE)
        deadline = self._ask(question)
        pieces: list[bytes] = []
        while True:
            message = self._receive(deadline)
            if isinstance(message, Sound):
                pieces.append(message.pcm)
            elif isinstance(message, Spoken):
                if message.error:
                    raise SynthesisError(message.error)
                return np.frombuffer(b"".join(pieces), np.int16)

    def _receive(self, deadline: float) -> FromEspeak:
        assert self._channel is not None
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0 or not poller.poll(remaining_s * 1000):
            raise TimeoutError
        received = self._channel.receive()
        if received is None:
            raise EOFError
        return received[0]


class EspeakCommand:
    """
    The `espeak-ng` command: one process for each text.

    Args:
        command: Path of the executable.

    Raises:
        SynthesisError: If it does not even tell its version.
    """

    def __init__(self, command: Path) -> None:
        self._command = command
        words = self._run(["--version"], b"", _START_LIMIT_S).decode("utf-8", "replace").split()
        self.version = next((word for word in words if word[:1].isdigit()), "unknown")

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """See `EspeakEngine`."""
        limit_s = _TEXT_LIMIT_S + len(text) * _CHARACTER_LIMIT_S
        # -b 1: the text is UTF-8 whatever the locale says.
        arguments = ["-v", voice, "-s", str(WORDS_PER_MINUTE), "-b", "1", "--stdin", "--stdout"]
        wav = self._run(arguments, text.replace("\0", " ").encode(), limit_s)
        return _parse_streamed_wav(wav)

    def phonemize(self, text: str, voice: str) -> list[Clause]:
        """See `EspeakEngine`. The command does not tell where clauses end: a comma each."""
        limit_s = _TEXT_LIMIT_S + len(text) * _CHARACTER_LIMIT_S
        arguments = ["-v", voice, "-b", "1", "-q", "--ipa", "--stdin"]
        written = self._run(arguments, text.replace("\0", " ").encode(), limit_s)
        lines = [line.strip() for line in written.decode("utf-8", "replace").splitlines()]
        clauses = [(line, ", ") for line in lines if line]
        return [*clauses[:-1], (clauses[-1][0], text.rstrip()[-1:])] if clauses else []

    def close(self) -> None:
        """Nothing runs between two texts."""

    def _run(self, arguments: list[str], stdin: bytes, limit_s: float) -> bytes:
        try:
            done = subprocess.run(  # noqa: S603 - no shell, the text goes through stdin
                [str(self._command), *arguments],
                input=stdin,
                capture_output=True,
                timeout=limit_s,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SynthesisError("the espeak-ng command failed") from error
        return done.stdout


def _parse_streamed_wav(data: bytes) -> tuple[Samples, int]:
    """Read a WAV written to a pipe, whose lengths are therefore not true."""
    if len(data) < 44:
        # Nothing to say, so nothing was written.
        return np.zeros(0, np.int16), 22_050
    if data[:4] != b"RIFF" or data[36:40] != b"data":
        raise SynthesisError("espeak-ng wrote something else than WAV")
    (rate_hz,) = struct.unpack_from("<I", data, 24)
    even = len(data) - 44 & ~1
    return np.frombuffer(data, "<i2", even // 2, 44).astype(np.int16), rate_hz
