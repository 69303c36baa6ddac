"""What the browser's phone asks for: a line to one of our own numbers.

The composition root puts the built-in phone behind it, in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

SAMPLE_BYTES: Final = 2
SAMPLES_PER_S: Final = 8000
"Sound is PCM of 16 bits, little-endian, mono, in both directions."

SOUND_MAX_BYTES: Final = 80 * SAMPLES_PER_S // 1000 * SAMPLE_BYTES
"Of one piece: 80 ms."


@dataclass(frozen=True, slots=True)
class Ringing:
    """The number exists and rings: its application was told."""


@dataclass(frozen=True, slots=True)
class PickedUp:
    """The call is answered."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Something is heard."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Over:
    """The call is over, or never came about. Nothing comes after it."""

    status: int | None
    "SIP's final answer to a call that was not answered; 0 where there was none."


LineEvent = Ringing | PickedUp | Sound | Over


class Line(Protocol):
    """One call. Nothing here waits, except `next`."""

    def speak(self, pcm: bytes) -> None:
        """Say it; dropped where more waits than a phone can say."""
        ...

    def press(self, key: str) -> None:
        """Press one of `0-9 * #`."""
        ...

    def hang_up(self) -> None:
        """Hang up, or give up; `Over` follows."""
        ...

    async def next(self) -> LineEvent:
        """Return what happens next."""
        ...

    def close(self) -> None:
        """Hang up, and let nothing follow."""
        ...


class Lines(Protocol):
    """Opens lines."""

    def open(self, number: str, caller: str) -> Line:
        """
        Call one of our numbers.

        Args:
            number: `+` and digits.
            caller: Who calls: a number, or a word.

        Raises:
            RequestRefused: With what to do, where no line can be had.
        """
        ...
