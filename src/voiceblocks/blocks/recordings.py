"""`recording`: which recording a request is about."""

from __future__ import annotations

import re

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import RecordingId

REASON_MAX = 500

_ID = re.compile(r"rec-[0-9a-f]{32}\Z", re.ASCII)


def _read_recording(fields: Fields) -> RecordingId:
    # As it stands in its link, with the ending of a file.
    text = fields.required("recording").strip(" ").partition(".")[0]
    if _ID.match(text) is None:
        raise InvalidRequest("error_recording_invalid")
    return RecordingId(text)


def _read_reason(fields: Fields) -> str:
    reason = fields.get("reason") or ""
    if len(reason) > REASON_MAX:
        raise InvalidRequest("error_reason_invalid_length")
    return reason


RECORDING = Parameter(
    "recording",
    _read_recording,
    (
        "error_recording_param_missing",
        "error_recording_invalid",
        "error_recording_access_denied",
        "error_recording_not_ready",
    ),
    "The recording: the last part of its link's path, with or without `.mp3`.",
    required=True,
)

REASON = Parameter(
    "reason",
    _read_reason,
    ("error_reason_invalid_length",),
    f"Why, for the record that is kept of it. At most {REASON_MAX} characters.",
)
