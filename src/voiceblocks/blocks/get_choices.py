"""`number/get_choices`: numbers of a country that can be subscribed, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.countries import COUNTRY
from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.get_history import PAGE
from voiceblocks.errors import InvalidRequest

CHOICES_A_PAGE = 20
_NEEDS_STATE = "US"


def _read_state(fields: Fields) -> str | None:
    state = (fields.get("state") or "").strip(" ").upper()
    if not state and COUNTRY.read(fields) == _NEEDS_STATE:
        raise InvalidRequest("error_state_param_missing")
    return state or None


STATE = Parameter(
    "state",
    _read_state,
    ("error_state_param_missing",),
    "The state, such as `CA`. Required for `US`; all states of another country if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetChoicesCommand:
    """Ask which numbers of a country can be subscribed."""

    block: ClassVar[str] = "get_choices"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (COUNTRY, STATE, PAGE)

    country: str
    state: str | None = None
    page: int = 1

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(country=COUNTRY.read(fields), state=STATE.read(fields), page=PAGE.read(fields))
