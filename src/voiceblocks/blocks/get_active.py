"""`number/get_active`: the application's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class GetActiveCommand:
    """Ask for the numbers of the application."""

    block: ClassVar[str] = "get_active"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request, which has no parameters; see `command.Request`."""
        del fields
        return cls()
