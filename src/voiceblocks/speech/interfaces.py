"""What the prompts' workflow needs from the outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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


class PromptRenderer(Protocol):
    """Makes clips outside the control process, cached by content."""

    async def render_speech(self, text: str, language: str, gender: str) -> Clip:
        """
        Speak `text`.

        Args:
            text: Plain text, no markup.
            language: A language that `speech.languages` says is spoken.
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
