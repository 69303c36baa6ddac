"""`number/get_countries`: where there are numbers to subscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCountriesCommand:
    """Ask in which countries there are numbers to subscribe."""

    block: ClassVar[str] = "get_countries"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request, which has no parameters; see `command.Request`."""
        del fields
        return cls()
