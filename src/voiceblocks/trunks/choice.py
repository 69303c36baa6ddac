"""Which trunks carry a call, best first."""

from __future__ import annotations

from collections.abc import Iterable

from voiceblocks.trunks.model import Trunk


def candidates(trunks: Iterable[Trunk], dest: str) -> tuple[Trunk, ...]:
    """
    The trunks that carry `dest` (`+` and digits): the longest prefix first, then the oldest.

    A trunk without prefixes carries everything, as the last choice. Disabled ones carry nothing.
    """
    found = []
    for trunk in trunks:
        length = _longest_match(trunk, dest)
        if trunk.disabled_us is None and length is not None:
            found.append((-length, trunk.created_us, trunk.id, trunk))
    return tuple(trunk for *_order, trunk in sorted(found, key=lambda one: one[:3]))


def _longest_match(trunk: Trunk, dest: str) -> int | None:
    if not trunk.prefixes:
        return 0
    lengths = [len(prefix) for prefix in trunk.prefixes if dest.startswith(prefix)]
    return max(lengths, default=None)
