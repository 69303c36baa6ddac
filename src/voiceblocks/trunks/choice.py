"""Which trunks carry a call, best first."""

from __future__ import annotations

from collections.abc import Iterable

from voiceblocks.trunks.model import Trunk


def candidates(trunks: Iterable[Trunk], dest: str) -> tuple[Trunk, ...]:
    """
    Return the trunks that carry calls to `dest`, best first.

    The longest prefix that fits wins; a trunk without prefixes carries everything, and comes
    last. Among equals the oldest is first, so a trunk that is added changes no route.

    Args:
        trunks: All of them; disabled ones are left out.
        dest: `+` and digits.
    """
    fitting = [
        (-length, trunk.created_us, trunk.name, trunk)
        for trunk in trunks
        if trunk.disabled_us is None and (length := _longest_prefix(trunk, dest)) is not None
    ]
    return tuple(trunk for *_, trunk in sorted(fitting, key=lambda row: row[:3]))


def _longest_prefix(trunk: Trunk, dest: str) -> int | None:
    """Length of the longest prefix that fits, 0 where there are none, `None` if none fits."""
    if not trunk.prefixes:
        return 0
    return max((len(prefix) for prefix in trunk.prefixes if dest.startswith(prefix)), default=None)
