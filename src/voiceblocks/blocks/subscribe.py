"""`number/subscribe`: a number becomes the application's, for some months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.numbers import read_number
from voiceblocks.errors import InvalidRequest

TERMS = (1, 3, 12)
"Months."
_SWITCH = {"enabled": True, "true": True, "1": True, "disabled": False, "false": False, "0": False}


def read_our_number(fields: Fields) -> str:
    """
    Read the number that a request is about.

    Raises:
        InvalidRequest: `error_number_param_missing` or `error_number_invalid`.
    """
    return read_number(fields, name="number")


def _read_duration(fields: Fields) -> int:
    text = fields.required("duration").strip(" ")
    if text not in map(str, TERMS):
        raise InvalidRequest("error_invalid_duration")
    return int(text)


def _read_auto_extend(fields: Fields) -> bool:
    text = (fields.get("auto_extend") or "disabled").strip(" ").lower()
    if text not in _SWITCH:
        raise InvalidRequest("error_auto_extend_not_available")
    return _SWITCH[text]


NUMBER = Parameter(
    "number",
    read_our_number,
    (
        "error_number_param_missing",
        "error_number_invalid",
        "error_number_not_available",
        "error_exceed_max_subscriptions",
        "error_not_allowed_for_trial",
        "error_insufficient_credit",
    ),
    "One of `number/get_choices`.",
    required=True,
)

DURATION = Parameter(
    "duration",
    _read_duration,
    ("error_duration_param_missing", "error_invalid_duration"),
    "Months: 1, 3 or 12, as far as `number/get_rates` has them.",
    required=True,
)

AUTO_EXTEND = Parameter(
    "auto_extend",
    _read_auto_extend,
    ("error_auto_extend_not_available",),
    "`enabled`: it is paid for again, for as many months, when it expires. `disabled` if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeCommand:
    """Subscribe a number; it is paid at once."""

    block: ClassVar[str] = "subscribe"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (NUMBER, DURATION, AUTO_EXTEND)

    number: str
    months: int
    auto_extend: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            number=NUMBER.read(fields),
            months=DURATION.read(fields),
            auto_extend=AUTO_EXTEND.read(fields),
        )
