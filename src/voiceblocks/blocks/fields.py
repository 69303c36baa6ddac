"""The parameters of a request, and how the common ones are read.

A `Parameter` says once what a field is called, how it is read and which statuses it
can give; the commands read by it and the reference page is made from it.

What the documents leave open is decided so: an empty value is an absent one (old
clients send every field), an unknown field is ignored, and of a repeated field the
first value counts (as the original's servlets did).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from voiceblocks.blocks.urls import split_web_url
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import SessionId

TAG_MAX = 256
NOTIFY_URL_MAX = 4000

ROOM_STATUSES = (
    "error_recording_space_low",
    "error_recording_quota_reached",
    "error_recording_sealed",
)
"What any block can be refused for that records."

_T = TypeVar("_T")
_WHOLE_NUMBER = re.compile(r"\+?0*([0-9]{1,18})\Z", re.ASCII)


class Fields:
    """
    What a request carries: names to values that are not empty.

    Args:
        pairs: Names and values in the order in which they came.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, str] = {}
        for name, value in pairs:
            if value:
                values.setdefault(name, value)
        self._values = values

    def get(self, name: str) -> str | None:
        """The value as sent, never empty; `None` where absent."""
        return self._values.get(name)

    def required(self, name: str) -> str:
        """
        The value of a field that must be there.

        Raises:
            InvalidRequest: `error_X_param_missing`, with the field's name for X.
        """
        value = self._values.get(name)
        if value is None:
            raise InvalidRequest(f"error_{name}_param_missing")
        return value

    def __repr__(self) -> str:
        # Values are tokens, phone numbers and texts: none of them belongs into a log.
        return f"Fields({', '.join(sorted(self._values))})"


@dataclass(frozen=True, slots=True)
class Parameter(Generic[_T]):
    """One documented parameter of a block."""

    name: str
    read: Callable[[Fields], _T]
    "Returns the checked value; raises `InvalidRequest` with one of `statuses`."
    statuses: tuple[str, ...]
    "Every status that this parameter can cause, also in later checks than `read`'s."
    summary: str
    "One or two sentences for the reference page."
    required: bool = False


def read_whole_number(
    fields: Fields, name: str, *, lowest: int, highest: int, default: int, status: str
) -> int:
    """
    Read a whole number.

    Blanks around it and a leading plus sign are tolerated (an unescaped `+5` arrives as
    ` 5`); fractions, signs other than plus and the digits of other scripts are not.

    Raises:
        InvalidRequest: With `status`, if it is no number from `lowest` to `highest`.
    """
    text = fields.get(name)
    if text is None:
        return default
    match = _WHOLE_NUMBER.match(text.strip(" "))
    if match is None or not lowest <= (number := int(match[1])) <= highest:
        raise InvalidRequest(status)
    return number


def _read_session(fields: Fields) -> SessionId:
    return SessionId(fields.required("session"))


def _read_tag(fields: Fields) -> str:
    tag = fields.get("tag") or ""
    if len(tag) > TAG_MAX:
        raise InvalidRequest("error_tag_invalid_length")
    return tag


def read_notify_url(fields: Fields, name: str = "notify_url") -> str | None:
    """
    Read a URL for notifications.

    Raises:
        InvalidRequest: `error_invalid_notify_url`, whatever its `name`.
    """
    url = fields.get(name)
    if url is not None and (len(url) > NOTIFY_URL_MAX or split_web_url(url) is None):
        raise InvalidRequest("error_invalid_notify_url")
    return url


def _read_required_notify_url(fields: Fields) -> str:
    fields.required("notify_url")
    return read_notify_url(fields) or ""


SESSION = Parameter(
    "session",
    _read_session,
    (
        "error_session_param_missing",
        "error_invalid_session",
        "error_session_access_denied",
        "error_session_ended",
        "error_session_not_ready",
    ),
    "The call to act on, as given in its `answer` notification or by `dial`.",
    required=True,
)

TAG = Parameter(
    "tag",
    _read_tag,
    ("error_tag_invalid_length",),
    f"Your own reference, handed back in the notification. At most {TAG_MAX} characters.",
)

NOTIFY_URL = Parameter(
    "notify_url",
    read_notify_url,
    (
        "error_invalid_notify_url",
        "error_unable_to_resolve_notify_url",
        "error_unable_to_complete_ssl_handshake_notify_url",
    ),
    "Where to send the notification when the block is done: http or https, at most "
    f"{NOTIFY_URL_MAX} characters, without user name and password. If it is omitted, the call "
    "is hung up after `msg` and nothing is sent.",
)

REQUIRED_NOTIFY_URL = Parameter(
    "notify_url",
    _read_required_notify_url,
    ("error_notify_url_param_missing", *NOTIFY_URL.statuses),
    "Where to send the notification when the block is done: http or https, at most "
    f"{NOTIFY_URL_MAX} characters, without user name and password.",
    required=True,
)

END_NOTIFY_URL = Parameter(
    "notify_url",
    read_notify_url,
    NOTIFY_URL.statuses,
    "Where to send the notification when a call ends: http or https, at most "
    f"{NOTIFY_URL_MAX} characters, without user name and password. Nothing is sent if it is "
    "omitted.",
)
