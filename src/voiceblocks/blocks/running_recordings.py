"""`session` and `block`: which recordings that are going on a request is about."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from voiceblocks.blocks.fields import SESSION, Fields, Parameter
from voiceblocks.errors import InvalidRequest


class RunningRecording(StrEnum):
    """The recordings of a call by the block that began them."""

    RECORD = "record"
    MONITOR = "monitor"


def _read_block(fields: Fields) -> RunningRecording | None:
    text = fields.get("block")
    if text is None:
        return None
    try:
        return RunningRecording(text.strip(" ").lower())
    except ValueError:
        raise InvalidRequest("error_block_invalid") from None


RECORDED_SESSION = replace(
    SESSION,
    statuses=(
        "error_session_param_missing",
        "error_invalid_session",
        "error_session_access_denied",
        "error_session_ended",
        "error_session_not_recording",
    ),
    summary="The call that is recorded.",
)

BLOCK = Parameter(
    "block",
    _read_block,
    ("error_block_invalid",),
    "`record` or `monitor`: the recording that this block began. All that are going on if it is "
    "omitted.",
)
