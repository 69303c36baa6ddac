"""What a phone does in a call, as lines of text: for `voiceblocks phone call --script`.

```
wait for beep            # or: wait for audio
wait 1.5                 # seconds
say Hello, this is Mei.  # text, spoken
play greeting.wav        # a sound file
press 12#                # digits
hang up
```

Empty lines and what follows `#` after two blanks are ignored. A script without
`hang up` waits until the other side ends the call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMMENT = re.compile(r"(^|\s\s)#.*$")
_DIGITS = re.compile(r"[0-9*#A-D]+\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """One line: what to do, and with what."""

    action: str
    '`"wait"`, `"wait_for_beep"`, `"wait_for_audio"`, `"say"`, `"play"`, `"press"`, `"hang_up"`.'
    argument: str = ""


def parse_script(text: str) -> list[Step]:
    """
    Read a script.

    Raises:
        ValueError: With the number of the line and what could stand there.
    """
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", line).strip()
        if line:
            steps.append(_parse_line(number, line))
    return steps


def _parse_line(number: int, line: str) -> Step:
    words = line.lower().split()
    if words == ["wait", "for", "beep"]:
        return Step("wait_for_beep")
    if words == ["wait", "for", "audio"]:
        return Step("wait_for_audio")
    if words == ["hang", "up"]:
        return Step("hang_up")
    action, _, argument = line.partition(" ")
    action, argument = action.lower(), argument.strip()
    if action == "wait" and _is_seconds(argument):
        return Step("wait", argument)
    if action == "press" and _DIGITS.match(argument):
        return Step("press", argument)
    if action in {"say", "play"} and argument:
        return Step(action, argument)
    raise ValueError(
        f"line {number}: {line!r} is no step; write wait SECONDS, wait for beep, wait for audio, "
        "say TEXT, play FILE, press DIGITS or hang up"
    )


def _is_seconds(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False
