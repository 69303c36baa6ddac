"""A ladder diagram: who said what to whom, from top to bottom. What it shows, not how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

NOTE: Final = "note"


@dataclass(frozen=True, slots=True)
class Rung:
    """One arrow, or a remark over the whole width."""

    at_us: int
    kind: str
    '`"sip"`, `"api"`, `"notification"`, `"media"`, or `NOTE`.'
    label: str
    source: int = 0
    "Column from which the arrow leaves."
    target: int = 0
    is_repeat: bool = False
    "Whether the very same was sent before."


@dataclass(frozen=True, slots=True)
class Ladder:
    """Columns from left to right, and arrows between them in their order."""

    began_us: int
    columns: tuple[str, ...]
    rungs: tuple[Rung, ...]

    def shortened(self, first: int, last: int) -> Ladder:
        """The first and the last rungs, with a remark on how many lie between."""
        n_left_out = len(self.rungs) - first - last
        if n_left_out <= 0:
            return self
        rest = self.rungs[-last:]
        remark = Rung(rest[0].at_us, NOTE, f"{n_left_out} more are in the JSON")
        return replace(self, rungs=(*self.rungs[:first], remark, *rest))


_TIME_COLUMNS: Final = 10
_MARGIN: Final = 7


def as_text(ladder: Ladder, width: int = 100) -> list[str]:
    """
    Draw it in box-drawing characters, one line an arrow.

    Args:
        ladder: Two columns at least.
        width: Characters in a line, at most; labels are cut to fit.
    """
    room = width - _TIME_COLUMNS - 2 * _MARGIN
    spacing = room // (len(ladder.columns) - 1)
    lines_at = [_TIME_COLUMNS + _MARGIN + index * spacing for index in range(len(ladder.columns))]
    head = [" "] * width
    for at, name in zip(lines_at, ladder.columns, strict=True):
        # The margin bounds the outer names, the neighbours the inner ones.
        longest = min(spacing - 1, 2 * _MARGIN - 1)
        shown = _cut(name, longest)
        start = min(max(0, at - len(shown) // 2), width - len(shown))
        head[start : start + len(shown)] = shown
    drawn = ["".join(head).rstrip(), _lifelines(lines_at, width)]
    drawn += [_drawn(rung, ladder.began_us, lines_at, width) for rung in ladder.rungs]
    return drawn


def _lifelines(lines_at: Sequence[int], width: int) -> str:
    return "".join("│" if at in lines_at else " " for at in range(width)).rstrip()


def _drawn(rung: Rung, began_us: int, lines_at: Sequence[int], width: int) -> str:
    time = f"{(rung.at_us - began_us) / 1e6:+.3f}".rjust(_TIME_COLUMNS - 1)
    if rung.kind == NOTE or rung.source == rung.target:
        return f"{time}  ╶ {_cut(rung.label, width - _TIME_COLUMNS - 3)}"
    row = list(_lifelines(lines_at, width).ljust(width))
    row[: len(time)] = time
    begin, end = lines_at[rung.source], lines_at[rung.target]
    left, right = min(begin, end), max(begin, end)
    line = "╌" if rung.is_repeat else "─"
    for at in range(left + 1, right):
        row[at] = "┼" if row[at] == "│" else line
    row[left], row[right] = "├", "┤"
    row[end - 1 if end == right else end + 1] = "▶" if end == right else "◀"
    label = _cut(rung.label, right - left - 7)
    start = left + (right - left - len(label)) // 2
    row[start - 1 : start + len(label) + 1] = f" {label} "
    return "".join(row).rstrip()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(0, longest - 1)] + "…"
