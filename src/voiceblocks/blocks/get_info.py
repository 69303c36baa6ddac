"""`user/get_info`: who the account is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class GetInfoCommand:
    """Ask who the account is, and which numbers it may show."""

    block: ClassVar[str] = "get_info"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request, which has no parameters; see `command.Request`."""
        del fields
        return cls()
