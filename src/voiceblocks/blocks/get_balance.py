"""`user/get_balance`: what the account has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class GetBalanceCommand:
    """Ask what the account has left."""

    block: ClassVar[str] = "get_balance"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request, which has no parameters; see `command.Request`."""
        del fields
        return cls()
