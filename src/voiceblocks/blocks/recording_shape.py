"""What a recording is to become, beside what was said: its format, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordingShape:
    """Known when the recording begins; kept with it, so that a restart finishes it alike."""

    format: str = "mp3"
    "`mp3` or `wav`: also how its name in the store ends."
    trims_silence: bool = False
    "Whether silence before the first and after the last sound is left out."
    silences_keys: bool = False
    "Whether keys that are heard become silence (PINs, card numbers)."


PLAIN = RecordingShape()
"An MP3 of all that was said."
