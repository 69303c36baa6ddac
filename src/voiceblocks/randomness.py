"""Where what nobody may guess comes from: the operating system, except in a simulation.

A simulation (`voiceblocks.testing.simulation`) must give the same bytes twice, so it puts a
seeded source in its place, for what runs in its own context and for nothing else. Keys, nonces
and passwords do not come from here: they are the operating system's in a simulation, too.
"""

from __future__ import annotations

from contextvars import ContextVar
from random import Random, SystemRandom

SOURCE: ContextVar[Random] = ContextVar("randomness", default=SystemRandom())  # noqa: B039
"Set by simulations only; a test looks that nobody else does."


def source() -> Random:
    """Of the present context."""
    return SOURCE.get()


def hex_text(length: int) -> str:
    """`length` hexadecimal digits."""
    return source().randbytes((length + 1) // 2).hex()[:length]
