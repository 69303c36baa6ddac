"""Wrap-around arithmetic of RTP's 16-bit sequence numbers and 32-bit timestamps.

Every comparison is "modulo half the range" (RFC 3550 appendix A.1), so nobody
writes a bit mask in logic.
"""

from __future__ import annotations

UINT16_RANGE = 1 << 16
UINT32_RANGE = 1 << 32


def uint16_add(a: int, b: int) -> int:
    """Return `a + b` as a sequence number; `b` may be negative."""
    return (a + b) & 0xFFFF


def uint16_distance(newer: int, older: int) -> int:
    """Steps from `older` to `newer`, -32768 to 32767; negative when `newer` is the older one."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def uint16_gt(a: int, b: int) -> bool:
    """Whether sequence number `a` comes after `b`."""
    return uint16_distance(a, b) > 0


def uint32_add(a: int, b: int) -> int:
    """Return `a + b` as a timestamp; `b` may be negative."""
    return (a + b) & 0xFFFFFFFF


def uint32_distance(newer: int, older: int) -> int:
    """Ticks from `older` to `newer`, -2**31 to 2**31 - 1."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def uint32_gt(a: int, b: int) -> bool:
    """Whether timestamp `a` comes after `b`."""
    return uint32_distance(a, b) > 0
