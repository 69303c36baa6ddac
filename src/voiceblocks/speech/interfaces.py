"""What the prompts' workflow needs from the outside, and what it needs of what speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voiceblocks.speech.languages import Language


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Clip:
    """
    Audio that is ready to be sent: headerless G.711 at 8 kHz, once in each law.

    The files are content-addressed and immutable, and stay while somebody has the clip.
    """

    ulaw_path: Path
    alaw_path: Path
    n_samples: int

    def path_for(self, codec: str) -> Path:
        """The file for `"PCMU"` or `"PCMA"`."""
        return self.alaw_path if codec == "PCMA" else self.ulaw_path


class SpeechEngine(Protocol):
    """Something that speaks, as the control process sees it; its work is done elsewhere."""

    @property
    def name(self) -> str:
        """As settings, logs and metrics call it (`speech.engine_order.ENGINES`)."""
        ...

    def voice_for(self, language: Language, gender: str) -> str | None:
        """The voice that would speak now; `None` if it has none that speaks properly."""
        ...

    def find(self, text: str, language: Language, gender: str) -> Clip | None:
        """What it spoke before in the voice that it has now, from the cache."""
        ...

    async def speak(self, text: str, language: Language, gender: str) -> Clip:
        """
        Speak `text`, for which there is a voice.

        Raises:
            NoSound: If there is nothing to say in it.
            EngineUnavailable: If the next text would fail, too.
            SynthesisError: If it fails at this text.
        """
        ...


class PromptRenderer(Protocol):
    """Makes clips outside the control process, cached by content."""

    def speakers_of(self, language: Language) -> Mapping[str, str]:
        """Who speaks a language now, engine by gender; empty if nobody does properly."""
        ...

    async def render_speech(self, text: str, language: str, gender: str) -> Clip:
        """
        Speak `text`, by the first engine that can.

        Args:
            text: Plain text, no markup.
            language: A code of `speech.languages`.
            gender: `"female"` or `"male"`.

        Raises:
            SynthesisError: If no sound came out.
        """
        ...

    async def render_audio_file(self, source: Path, extension: str) -> Clip:
        """
        Turn a downloaded .mp3, .wav or .gsm file into a clip (any rate, any channels).

        Raises:
            UnreadableAudio: If the content is not what `extension` (`".mp3"`, …) says.
        """
        ...

    async def beep(self) -> Clip:
        """The tone before a recording: 400 ms of one frequency."""
        ...

    async def hold_music(self) -> Clip:
        """What a caller on hold hears; may be repeated without a seam."""
        ...

    async def ring_tone(self, country: str) -> Clip:
        """
        What a caller hears while it rings at the far end: one period, to be repeated.

        Args:
            country: ISO 3166; an unknown one has the commonest tone.
        """
        ...
