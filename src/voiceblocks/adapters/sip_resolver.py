"""SIP names turned into addresses: NAPTR, SRV and A records (RFC 3263), off the loop's way.

Answers are kept as long as their TTL says, failures for a short time. Only IPv4 is used,
as our media are IPv4.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdatatype import RdataType

from voiceblocks.clock import Clock
from voiceblocks.errors import PeerError, RemoteSipError
from voiceblocks.sip.target import SipTarget
from voiceblocks.sip.uri import SipUri

QUERY_LIMIT_S = 2.0
TOTAL_LIMIT_S = 4.0
LONGEST_S = 3600.0
"An answer is not kept longer, whatever its TTL."
FAILURE_S = 5.0
MAX_KEPT = 1000

_NAPTR_TRANSPORTS = {"SIP+D2U": "udp", "SIP+D2T": "tcp"}
_SRV_NAMES = {"udp": "_sip._udp.", "tcp": "_sip._tcp."}
SIP_PORT = 5060


class NameNotFound(PeerError):
    """A SIP peer's name has no address."""


@dataclass(frozen=True, slots=True)
class _Kept:
    targets: tuple[SipTarget, ...]
    "Empty for a failure."
    until: float


class SipResolver:
    """
    Looks up where SIP peers are.

    Args:
        clock: For the life of answers.
        nameservers: Addresses to ask; those of the system if omitted.
        port: Of the name servers.
    """

    def __init__(
        self, clock: Clock, nameservers: Sequence[str] | None = None, port: int = 53
    ) -> None:
        self._clock = clock
        self._nameservers = nameservers
        self._port = port
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def resolve(self, address: str) -> list[SipTarget]:
        """
        The addresses of a SIP URI, best first.

        Raises:
            NameNotFound: If it has none, or nobody answered in time.
        """
        uri = SipUri.parse(address)
        transport = (uri.parameters.get("transport") or "").lower()
        if _is_ipv4(uri.address):
            return [SipTarget(uri.address, uri.port or SIP_PORT, transport or "udp")]
        if uri.address.lower() == "localhost":
            return [SipTarget("127.0.0.1", uri.port or SIP_PORT, transport or "udp")]
        now = self._clock.monotonic()
        kept = self._kept.get(address)
        if kept is None or kept.until <= now:
            kept = await self._look_up(address, uri, transport, now)
            self._kept[address] = kept
            self._kept.move_to_end(address)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        if not kept.targets:
            raise NameNotFound(f"{uri.host} has no address in the DNS")
        return list(kept.targets)

    async def _look_up(self, address: str, uri: SipUri, transport: str, now: float) -> _Kept:
        try:
            async with asyncio.timeout(TOTAL_LIMIT_S):
                search = _Search(self._asker(), uri.address)
                targets = await search.run(uri.port, transport)
        except (TimeoutError, dns.exception.DNSException, OSError, RemoteSipError):
            targets = []
            search = None
        if not targets or search is None:
            old = self._kept.get(address)
            # A name server that is away takes no trunk away.
            return _Kept(() if old is None else old.targets, now + FAILURE_S)
        return _Kept(tuple(targets), now + min(search.ttl_s, LONGEST_S))

    def _asker(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=self._nameservers is None)
            if self._nameservers is not None:
                resolver.nameservers = list(self._nameservers)
                resolver.port = self._port
            resolver.timeout = resolver.lifetime = QUERY_LIMIT_S
            self._resolver = resolver
        return self._resolver


class _Search:
    """One look-up of one name; `ttl_s` is the shortest of all answers that it used."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, host: str) -> None:
        self._resolver = resolver
        self._host = host
        self.ttl_s = LONGEST_S

    async def run(self, port: int | None, transport: str) -> list[SipTarget]:
        """The order of RFC 3263 section 4: an explicit port asks for addresses only."""
        if port is not None:
            return await self._addresses(self._host, port, transport or "udp")
        if transport:
            services = [(transport, _SRV_NAMES.get(transport, "") + self._host)]
        else:
            services = await self._naptr() or [
                (name, prefix + self._host) for name, prefix in _SRV_NAMES.items()
            ]
        targets: list[SipTarget] = []
        for name, service in services:
            targets += await self._srv(service, name)
        return targets or await self._addresses(self._host, SIP_PORT, transport or "udp")

    async def _naptr(self) -> list[tuple[str, str]]:
        records = await self._ask(self._host, RdataType.NAPTR)
        ordered = sorted(records, key=lambda record: (record.order, record.preference))
        found = []
        for record in ordered:
            transport = _NAPTR_TRANSPORTS.get(record.service.decode("ascii", "replace").upper())
            if transport is not None and record.flags.lower() == b"s":
                found.append((transport, record.replacement.to_text(omit_final_dot=True)))
        return found

    async def _srv(self, service: str, transport: str) -> list[SipTarget]:
        targets: list[SipTarget] = []
        for record in _by_weight(await self._ask(service, RdataType.SRV)):
            host = record.target.to_text(omit_final_dot=True)
            if host:
                targets += await self._addresses(host, record.port, transport)
        return targets

    async def _addresses(self, host: str, port: int, transport: str) -> list[SipTarget]:
        records = await self._ask(host, RdataType.A)
        return [SipTarget(record.address, port, transport) for record in records]

    async def _ask(self, name: str, kind: RdataType) -> list[Any]:
        try:
            answer = await self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        if answer.rrset is None:
            return []
        self.ttl_s = min(self.ttl_s, float(answer.rrset.ttl))
        return list(answer)


def _by_weight(records: Sequence[Any]) -> list[Any]:
    """The order of RFC 2782: by priority, and by chance in proportion to weight within one."""
    ordered: list[Any] = []
    for priority in sorted({record.priority for record in records}):
        left = [record for record in records if record.priority == priority]
        while left:
            chosen = random.choices(left, [record.weight + 0.01 for record in left])[0]  # noqa: S311
            left.remove(chosen)
            ordered.append(chosen)
    return ordered


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
