"""One server that a SIP name stands for (RFC 3263)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SipTarget:
    """Where a request goes: what DNS, or an address without need for it, gave."""

    host: str
    "An IPv4 address; never a name."

    port: int

    transport: str
    '`"udp"` or `"tcp"`.'
