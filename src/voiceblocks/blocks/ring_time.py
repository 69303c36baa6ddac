"""How long a called number may ring, under either of the names that clients use.

The original's pages name no such parameter and no status: a value out of range is put
at the range's end, one that is no number is ignored.
"""

from __future__ import annotations

import re

from voiceblocks.blocks.fields import Fields, Parameter

RING_TIME_DEFAULT_S = 60
RING_TIME_LOWEST_S = 5
RING_TIME_HIGHEST_S = 120
_SECONDS = re.compile(r"\+?0*([0-9]{1,9})\Z", re.ASCII)


def _read_ring_time(fields: Fields) -> int:
    text = fields.get("ring_time") or fields.get("ringtime") or ""
    match = _SECONDS.match(text.strip(" "))
    if match is None:
        return RING_TIME_DEFAULT_S
    return min(max(int(match[1]), RING_TIME_LOWEST_S), RING_TIME_HIGHEST_S)


RING_TIME = Parameter(
    "ring_time",
    _read_ring_time,
    (),
    f"Whole seconds that it may ring, {RING_TIME_LOWEST_S}-{RING_TIME_HIGHEST_S}; "
    f"{RING_TIME_DEFAULT_S} if omitted. A number out of range is put at the range's end.",
)

RINGTIME = Parameter(
    "ringtime", _read_ring_time, (), "The same under another name; `ring_time` comes first."
)
