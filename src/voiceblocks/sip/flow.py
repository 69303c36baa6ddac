"""Which way a SIP message came or goes: transport, our address, theirs.

A flow is what RFC 5626 calls by that name, without the keep-alive: for UDP a pair of
addresses, for TCP one connection. The core never opens or closes one; the shell does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Flow:
    """
    One way between us and a peer.

    A TCP flow with `connection` 0 asks the shell to use or open a connection to `remote`;
    when it cannot, it calls `UserAgent.flow_closed` with exactly this flow.
    """

    transport: str
    '`"udp"` or `"tcp"`.'

    local: tuple[str, int]
    remote: tuple[str, int]

    connection: int = 0
    "Number that the shell gave the TCP connection; 0 for UDP."

    @property
    def is_reliable(self) -> bool:
        """Whether the transport repeats what was lost, so that timers A, E and G do not run."""
        return self.transport != "udp"

    def towards(self, remote: tuple[str, int], transport: str | None = None) -> Flow:
        """The flow from the same local address to another peer; TCP ones are still to open."""
        return replace(self, transport=transport or self.transport, remote=remote, connection=0)
