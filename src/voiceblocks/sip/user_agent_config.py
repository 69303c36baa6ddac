"""What a user agent says about itself, and how it behaves where the RFCs leave a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voiceblocks.sip.flow import Flow
from voiceblocks.sip.routing import Routing

ALLOW = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK")
SUPPORTED = ("100rel", "timer")
ACCEPT = ("application/sdp", "multipart/mixed")


@dataclass(frozen=True, slots=True)
class UserAgentConfig:
    """Fixed for the life of a `UserAgent`."""

    contact_user: str
    'User part of our Contact, e.g. `"voiceblocks"`.'

    contact_host_port: Callable[[Flow], tuple[str, int]] | tuple[str, int]
    "What Contact and Via say towards a flow. IPv6 addresses without brackets."

    user_agent: str = "Voiceblocks/0.1.0"
    "Server and User-Agent header; empty for none."

    session_expires_s: int = 1800
    "Interval that we propose (RFC 4028); each half of it the session is refreshed."

    min_se_s: int = 90
    "Shortest interval that we take; 90 is the least that RFC 4028 allows."

    allow: tuple[str, ...] = ALLOW
    supported: tuple[str, ...] = SUPPORTED
    accept: tuple[str, ...] = ACCEPT

    response_routing: Routing = Routing.FLOW
    "For responses without rport."

    request_routing: Routing = Routing.AUTO
    "For requests inside a dialog."

    opens_connections: bool = False
    "Whether the shell opens TCP connections for flows that ask for one (`Flow.connection` 0)."

    max_transactions_per_source: int = 20_000
    "New server transactions of one address beyond this get 503. 20,000 are about 150 calls/s."

    def host_port(self, flow: Flow) -> tuple[str, int]:
        """Our address as the peer of this flow should see it, IPv6 in brackets."""
        configured = self.contact_host_port
        host, port = configured(flow) if callable(configured) else configured
        return (f"[{host}]" if ":" in host and not host.startswith("[") else host), port

    def contact(self, flow: Flow, user: str | None = None) -> str:
        """Value of our Contact, with another user than `contact_user` if given."""
        host, port = self.host_port(flow)
        transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return f"<sip:{user or self.contact_user}@{host}:{port}{transport}>"

    def via(self, flow: Flow, branch: str) -> str:
        """Value of our Via; `rport` asks for symmetric responses (RFC 3581)."""
        host, port = self.host_port(flow)
        return f"SIP/2.0/{flow.transport.upper()} {host}:{port};branch={branch};rport"
