"""What a recording is to become, beside what was said: its format, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass

SEALED = "sealed"
"The format of `recordings.sealed`."


@dataclass(frozen=True, slots=True)
class RecordingShape:
    """Known when the recording begins; kept with it, so that a restart finishes it alike."""

    format: str = "mp3"
    "`mp3`, `wav` or `SEALED`: also how its name in the store ends."
    trims_silence: bool = False
    "Whether silence before the first and after the last sound is left out."
    silences_keys: bool = False
    "Whether keys that are heard become silence (PINs, card numbers)."
    seal_for: bytes | None = None
    "Public key of a sealed recording; only known while its block begins."

    @property
    def is_sealed(self) -> bool:
        """Whether it is stored as it was sealed: nobody here can hear or change it."""
        return self.format == SEALED


PLAIN = RecordingShape()
"An MP3 of all that was said."
