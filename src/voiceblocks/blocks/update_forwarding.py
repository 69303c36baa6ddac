"""`number/update_forwarding`: where the calls of a number are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter, read_notify_url
from voiceblocks.blocks.subscribe import read_our_number
from voiceblocks.errors import InvalidRequest

_VOICE = "voice"


def _read_forward_to(fields: Fields) -> str | None:
    try:
        return read_notify_url(fields, "forward_to")
    except InvalidRequest:
        raise InvalidRequest("error_forward_to_invalid") from None


def _read_forward_sms_to(fields: Fields) -> None:
    # The official Java library writes the name the other way round.
    if fields.get("forward_sms_to") or fields.get("forward_to_sms"):
        raise InvalidRequest("error_incoming_sms_not_supported")


def _read_mode(fields: Fields) -> str:
    mode = (fields.get("mode") or _VOICE).strip(" ").lower()
    if mode != _VOICE:
        raise InvalidRequest("error_mode_invalid")
    return mode


NUMBER = Parameter(
    "number",
    read_our_number,
    ("error_number_param_missing", "error_number_invalid", "error_number_not_assigned"),
    "One of the application's numbers.",
    required=True,
)

FORWARD_TO = Parameter(
    "forward_to",
    _read_forward_to,
    (
        "error_forward_to_invalid",
        "error_unable_to_resolve_forward_to",
        "error_unable_to_complete_ssl_handshake_notify_url",
    ),
    "Where the `answer` notification of its calls goes: http or https. It stays if omitted.",
)

FORWARD_SMS_TO = Parameter(
    "forward_sms_to",
    _read_forward_sms_to,
    ("error_incoming_sms_not_supported",),
    "There are no text messages here: leave it out.",
)

MODE = Parameter(
    "mode", _read_mode, ("error_mode_invalid",), "`voice`, which is also what an omitted one means."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateForwardingCommand:
    """Say where the calls of a number are told."""

    block: ClassVar[str] = "update_forwarding"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (NUMBER, FORWARD_TO, FORWARD_SMS_TO, MODE)

    number: str
    forward_to: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        number = NUMBER.read(fields)
        forward_to = FORWARD_TO.read(fields)
        FORWARD_SMS_TO.read(fields)
        MODE.read(fields)
        return cls(number=number, forward_to=forward_to)
