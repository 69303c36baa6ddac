"""`voice/get_rate`: what a minute of a call between two numbers costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.numbers import number_parameter

RATED_DEST1 = number_parameter("dest1", "The first number: + and country code.")
RATED_DEST2 = number_parameter("dest2", "The second number: + and country code.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRateCommand:
    """Ask what a minute of a call between two numbers costs."""

    block: ClassVar[str] = "get_rate"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RATED_DEST1, RATED_DEST2)

    dest1: str
    dest2: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(dest1=RATED_DEST1.read(fields), dest2=RATED_DEST2.read(fields))
