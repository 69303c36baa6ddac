r"""Digits in INFO requests: `application/dtmf-relay` and `application/dtmf`.

No RFC describes either; this is what gateways and phones send:

    application/dtmf-relay      Signal=5\r\nDuration=160\r\n
    application/dtmf            5

Read generously: blanks around everything, `:` for `=`, any case, event codes 10 to 15 for
`*`, `#` and A to D, either body under either type. How long the key was down is not read:
a digit counts once, when its INFO comes.
"""

from __future__ import annotations

import re
from typing import Final

RELAY_TYPE: Final = "application/dtmf-relay"
_TYPES: Final = frozenset({RELAY_TYPE, "application/dtmf"})

LONGEST_BODY_BYTES: Final = 1024
"Real ones have about 26; nobody is made to search more."

_SIGNAL = re.compile(
    rb"(?:\A|[\r\n])[ \t]*signal[ \t]*[=:][ \t]*([^\s]{1,2})[ \t]*(?:[\r\n]|\Z)", re.IGNORECASE
)
_ALONE = re.compile(rb"\s*([^\s]{1,2})\s*\Z")

_KEYS: Final = "0123456789*#ABCD"
_BY_NAME: Final = {
    **{key.encode(): key for key in _KEYS},
    **{key.lower().encode(): key for key in "ABCD"},
    **{str(code).encode(): _KEYS[code] for code in range(10, 16)},
}


def read_digit(content_type: str, body: bytes) -> str | None:
    """
    Return the digit that an INFO tells of; `None` for an INFO about anything else.

    Args:
        content_type: In lower case, without parameters.
        body: As it came; whatever it is, nothing is raised.
    """
    if content_type not in _TYPES or len(body) > LONGEST_BODY_BYTES:
        return None
    found = _SIGNAL.search(body) or _ALONE.match(body)
    return None if found is None else _BY_NAME.get(found[1])


def write_digit(digit: str, duration_ms: int) -> bytes:
    """The `application/dtmf-relay` body for one digit, as phones send it."""
    return f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode("ascii")
