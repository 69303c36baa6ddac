"""`number/get_rates`: what a number of a country costs, by the length of its subscription."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.countries import COUNTRY
from voiceblocks.blocks.fields import Fields, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRatesCommand:
    """Ask what the numbers of a country cost."""

    block: ClassVar[str] = "get_rates"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (COUNTRY,)

    country: str

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(country=COUNTRY.read(fields))
