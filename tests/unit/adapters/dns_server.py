"""A name server for tests, on a free loopback port."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

TTL_S = 300


class DnsServer(asyncio.DatagramProtocol):
    """
    Answers from a zone in memory.

    Args:
        zone: Records by name (with final dot) and type, such as
            `{("sip.example.", "A"): ["192.0.2.1"]}`.
        ttl_s: Of all records.
    """

    def __init__(self, zone: dict[tuple[str, str], list[str]], ttl_s: int = TTL_S) -> None:
        self.zone = zone
        self.ttl_s = ttl_s
        self.first: dict[tuple[str, str], list[list[str]]] = {}
        "Answers that come before the zone's, each once: the first item first."
        self.silent_about: set[str] = set()
        "Types of records that it never answers."
        self.fails = False
        "Whether everything is answered by SERVFAIL."
        self.asked: Counter[tuple[str, str]] = Counter()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    async def __aenter__(self) -> Self:
        """Listen."""
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        assert self._transport is not None
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """A query."""
        assert self._transport is not None
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if kind in self.silent_about:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        earlier = self.first.get((name, kind))
        records = earlier.pop(0) if earlier else self.zone.get((name, kind), [])
        if self.fails:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif alias := self.zone.get((name, "CNAME")):
            response.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", "CNAME", *alias))
            records = self.zone.get((alias[0], kind), [])
            if records:
                found = dns.rrset.from_text(alias[0], self.ttl_s, "IN", kind, *records)
                response.answer.append(found)
        elif records:
            response.answer.append(dns.rrset.from_text(name, self.ttl_s, "IN", kind, *records))
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(response.to_wire(), addr)
