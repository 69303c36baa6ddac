"""Where a SIP request is sent: an address, found by name or given (RFC 3263)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SipTarget:
    """One address of a peer."""

    host: str
    "An IP address, never a name."
    port: int
    transport: str = "udp"
    '`"udp"` or `"tcp"`.'
