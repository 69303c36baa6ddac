"""Record: say `msg`, beep, record the caller until `#`, the limit or hang-up.

What the Hoiio documents do not know are extensions, off by default: how it is stored, whether it
beeps, what else ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import (
    NOTIFY_URL,
    ROOM_STATUSES,
    SESSION,
    TAG,
    Fields,
    Parameter,
    read_whole_number,
)
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import SessionId

MAX_DURATION_DEFAULT_S = 120
MAX_DURATION_HIGHEST_S = 86_400
MAX_SILENCE_HIGHEST_S = 3_600


def _read_max_duration(fields: Fields) -> int:
    return read_whole_number(
        fields,
        "max_duration",
        lowest=1,
        highest=MAX_DURATION_HIGHEST_S,
        default=MAX_DURATION_DEFAULT_S,
        status="error_invalid_max_duration",
    )


MAX_DURATION = Parameter(
    "max_duration",
    _read_max_duration,
    ("error_invalid_max_duration", *ROOM_STATUSES),
    f"Longest recording in whole seconds, 1-{MAX_DURATION_HIGHEST_S}; "
    f"{MAX_DURATION_DEFAULT_S} if omitted. The caller may end it earlier with #.",
)


FINISH_KEY = "#"
NO_KEY = "none"
_KEYS = frozenset("0123456789*#")


def _read_word(fields: Fields, name: str, words: tuple[str, ...], status: str) -> str:
    """One of these words, the first if it is omitted; case does not matter."""
    value = (fields.get(name) or words[0]).lower()
    if value not in words:
        raise InvalidRequest(status)
    return value


def _read_format(fields: Fields) -> str:
    return _read_word(fields, "format", ("mp3", "wav"), "error_invalid_format")


def _read_beep(fields: Fields) -> bool:
    return _read_word(fields, "beep", ("yes", "no"), "error_invalid_beep") == "yes"


def _read_trim(fields: Fields) -> bool:
    return _read_word(fields, "trim", ("none", "silence"), "error_invalid_trim") == "silence"


def _read_max_silence(fields: Fields) -> int | None:
    value = read_whole_number(
        fields,
        "max_silence",
        lowest=1,
        highest=MAX_SILENCE_HIGHEST_S,
        default=0,
        status="error_invalid_max_silence",
    )
    return value or None


def _read_finish_key(fields: Fields) -> str:
    value = fields.get("finish_key")
    if value is None:
        return FINISH_KEY
    if value.lower() == NO_KEY:
        return ""
    if not set(value) <= _KEYS:
        raise InvalidRequest("error_invalid_finish_key")
    return "".join(sorted(set(value)))


FORMAT = Parameter(
    "format",
    _read_format,
    ("error_invalid_format",),
    "Extension. `mp3` (if omitted) or `wav` (16 bit, 8 kHz, five times the size).",
)

BEEP = Parameter(
    "beep",
    _read_beep,
    ("error_invalid_beep",),
    "Extension. `no`: the recording begins right after `msg`. `yes` if omitted.",
)

FINISH_KEYS = Parameter(
    "finish_key",
    _read_finish_key,
    ("error_invalid_finish_key",),
    "Extension. The keys of which each ends the recording, such as `#` (if omitted) or `*#0`; "
    "`none`: no key does.",
)

MAX_SILENCE = Parameter(
    "max_silence",
    _read_max_silence,
    ("error_invalid_max_silence",),
    "Extension. The recording ends when the caller has said nothing for so many whole seconds, "
    f"1-{MAX_SILENCE_HIGHEST_S}. Never for that reason if omitted.",
)

TRIM = Parameter(
    "trim",
    _read_trim,
    ("error_invalid_trim",),
    "Extension. `silence`: what is silent before the first and after the last sound is left out, "
    "but for 0.2 s. `none` if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCommand:
    """Record the caller."""

    block: ClassVar[str] = "record"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        SESSION,
        MSG,
        MAX_DURATION,
        FORMAT,
        BEEP,
        FINISH_KEYS,
        MAX_SILENCE,
        TRIM,
        TAG,
        NOTIFY_URL,
    )

    session: SessionId
    msg: tuple[Part, ...] = ()
    max_duration_s: int = MAX_DURATION_DEFAULT_S
    format: str = "mp3"
    beeps: bool = True
    finish_keys: str = FINISH_KEY
    "Each of them ends it; empty where none does."
    max_silence_s: int | None = None
    trims_silence: bool = False
    tag: str = ""
    notify_url: str | None = None
    "Without one nothing is recorded: `msg` is said and the call hung up (decision 3)."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Command`."""
        return cls(
            session=SESSION.read(fields),
            msg=MSG.read(fields),
            max_duration_s=MAX_DURATION.read(fields),
            format=FORMAT.read(fields),
            beeps=BEEP.read(fields),
            finish_keys=FINISH_KEYS.read(fields),
            max_silence_s=MAX_SILENCE.read(fields),
            trims_silence=TRIM.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
