"""Phone numbers as applications send them, and the parameters that hold one.

Old clients lose the plus sign: an unescaped `+65…` arrives as ` 65…`, and some send
`65…` (spec section 15.1). What people write between digits does no harm either. What
comes out has one reading only: what is allowed, priced and dialled is the same number.

Whether a number may be called, and shown, is asked in a workflow (decision 9).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import phonenumbers

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.e164 import is_e164, normalise
from voiceblocks.errors import InvalidRequest

PRIVATE = "private"
"The caller id that hides the caller; `p` for short, as the original's list of caller ids has it."

DESTS_MAX = 8
"Numbers that one request may call."
_LIST_MAX = 1000
"Characters; eight numbers have no more than 150 without ornament."
_PRIVATE_WORDS = frozenset({PRIVATE, "p"})

OUTGOING_STATUSES = (
    "error_not_allowed_for_trial",
    "error_call_service_not_available",
    "error_insufficient_credit",
    "error_concurrent_call_limit_reached",
)
"Why a call to a good number is not placed; told of the number that costs."


def number_statuses(name: str) -> tuple[str, ...]:
    """The statuses of a number to be called, or priced, that is sent as parameter `name`."""
    return (f"error_{name}_invalid", f"error_{name}_not_supported")


def parse_number(raw: str) -> str | None:
    """
    Read a number to be called.

    Returns:
        `+` and digits, as the number plan of its country writes them; `None` where it is no
        number, or has more or fewer digits than the country's numbers have.
    """
    number = normalise(raw)
    if number is None or not is_e164(number):
        return None
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return written if is_e164(written) else None


def parse_numbers(text: str) -> tuple[str, ...]:
    """
    Read a list of numbers with commas; a number that comes again is called once.

    Raises:
        InvalidRequest: `error_dest_invalid`, `error_dest_too_many`.
    """
    if len(text) > _LIST_MAX:
        raise InvalidRequest("error_dest_invalid")
    numbers = [parse_number(piece) for piece in text.split(",") if piece.strip()]
    known = dict.fromkeys(number for number in numbers if number is not None)
    if not known or None in numbers:
        raise InvalidRequest("error_dest_invalid")
    if len(known) > DESTS_MAX:
        raise InvalidRequest("error_dest_too_many")
    return tuple(known)


def read_number(fields: Fields, *, name: str) -> str:
    """
    Read a number that must be there.

    Raises:
        InvalidRequest: `error_X_param_missing` or `error_X_invalid`, with `name` for X.
    """
    number = parse_number(fields.required(name))
    if number is None:
        raise InvalidRequest(f"error_{name}_invalid")
    return number


def read_optional_number(fields: Fields, *, name: str) -> str | None:
    """Read a number that may be absent; as above."""
    return None if fields.get(name) is None else read_number(fields, name=name)


def number_parameter(
    name: str, summary: str, *further: str, read: Callable[[Fields], str] | None = None
) -> Parameter[str]:
    """A required number; `further` are the statuses that it gives beside its own."""
    return Parameter(
        name,
        read or partial(read_number, name=name),
        (f"error_{name}_param_missing", *number_statuses(name), *further),
        summary,
        required=True,
    )


def _read_dests(fields: Fields) -> tuple[str, ...]:
    return parse_numbers(fields.required("dest"))


def _read_caller_id(fields: Fields) -> str | None:
    text = fields.get("caller_id")
    if text is None or not (word := text.strip(" ")):
        return None
    if word.lower() in _PRIVATE_WORDS:
        return PRIVATE
    number = normalise(word)
    if number is None:
        raise InvalidRequest("error_caller_id_invalid")
    return number


DESTS = Parameter(
    "dest",
    _read_dests,
    (
        "error_dest_param_missing",
        *number_statuses("dest"),
        "error_dest_too_many",
        *OUTGOING_STATUSES,
    ),
    f"The numbers to call, with commas between them, at most {DESTS_MAX}: + and country code. A "
    "number that comes again is called once.",
    required=True,
)

CALLER_ID = Parameter(
    "caller_id",
    _read_caller_id,
    ("error_caller_id_invalid",),
    "The number that is shown: one of your own numbers, the account's registered number, or "
    "`private`. If omitted: the registered number, else the first number of your application, else "
    "`private`.",
)
