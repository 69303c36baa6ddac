"""`max_duration` of a whole call, which record's parameter of the same name is not.

The original spells its status in another way, too.
"""

from __future__ import annotations

from voiceblocks.blocks.fields import Fields, Parameter, read_whole_number

MAX_DURATION_HIGHEST_S = 86_400


def _read_max_duration(fields: Fields) -> int | None:
    if fields.get("max_duration") is None:
        return None
    return read_whole_number(
        fields,
        "max_duration",
        lowest=1,
        highest=MAX_DURATION_HIGHEST_S,
        default=MAX_DURATION_HIGHEST_S,
        status="error_max_duration_invalid",
    )


CALL_LIMIT = Parameter(
    "max_duration",
    _read_max_duration,
    ("error_max_duration_invalid",),
    f"The call ends so many whole seconds after it was answered, 1-{MAX_DURATION_HIGHEST_S}; "
    "without it, at the server's own limit.",
)
