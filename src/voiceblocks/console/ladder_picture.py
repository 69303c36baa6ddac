"""A ladder diagram as numbers for the template: where each line, arrow and word is, in pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.stories.ladder import NOTE, Ladder

_TIMES: Final = 90
"Width of the column of times."
_SPACING: Final = 250
_SIDE: Final = 70
_TOP: Final = 40
_STEP: Final = 26
_LABEL_MOST: Final = 34
"Letters that fit between two neighbours."


@dataclass(frozen=True, slots=True)
class Arrow:
    """One rung; a remark has no arrow."""

    y: int
    time: str
    kind: str
    label: str
    text_x: int
    x1: int
    x2: int
    head: str
    "Path of the arrow's head; empty for a remark."


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it."""

    width: int
    height: int
    columns: tuple[tuple[str, int], ...]
    "Names, and where their lines are."
    arrows: tuple[Arrow, ...]
    n_messages: int


def picture_of(ladder: Ladder) -> Picture:
    """Place everything."""
    at = [_TIMES + _SIDE + index * _SPACING for index in range(len(ladder.columns))]
    arrows = []
    for number, rung in enumerate(ladder.rungs):
        y = _TOP + (number + 1) * _STEP
        time = f"{(rung.at_us - ladder.began_us) / 1e6:+.3f} s"
        x1, x2 = at[rung.source], at[rung.target]
        if rung.kind == NOTE or x1 == x2:
            arrows.append(Arrow(y, time, NOTE, rung.label, _TIMES + 12, 0, 0, ""))
            continue
        direction = -7 if x2 > x1 else 7
        head = f"M{x2 + direction} {y - 4}L{x2} {y}L{x2 + direction} {y + 4}"
        letters = _LABEL_MOST * abs(rung.target - rung.source)
        label = rung.label if len(rung.label) <= letters else rung.label[: letters - 1] + "…"
        kind = f"{rung.kind} again" if rung.is_repeat else rung.kind
        arrows.append(Arrow(y, time, kind, label, (x1 + x2) // 2, x1, x2, head))
    return Picture(
        width=at[-1] + _SIDE,
        height=_TOP + (len(arrows) + 1) * _STEP,
        columns=tuple(zip(ladder.columns, at, strict=True)),
        arrows=tuple(arrows),
        n_messages=len(arrows),
    )
