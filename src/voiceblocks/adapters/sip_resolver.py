"""SIP names turned into addresses: NAPTR, SRV and A records (RFC 3263), off the loop's way.

Answers are kept as long as their TTL says; that a name has no address is kept for a short time.
While no name server answers, what was known before stays good for a day. Only IPv4 is used, as
our media are IPv4.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdatatype import RdataType

from voiceblocks.clock import Clock
from voiceblocks.errors import PeerError
from voiceblocks.sip.routing import DEFAULT_PORT, is_address
from voiceblocks.sip.target import SipTarget
from voiceblocks.sip.uri import SipUri

QUERY_LIMIT_S = 2.0
TOTAL_LIMIT_S = 4.0
SHORTEST_S = 5.0
LONGEST_S = 3600.0
"An answer is kept no shorter and no longer than this, whatever its TTL."
FAILURE_S = 5.0
STALE_S = 24 * 3600.0
MAX_KEPT = 1000
MAX_RECORDS = 32
"Of one answer; a carrier has a handful."

_NAPTR_TRANSPORTS = {"SIP+D2U": "udp", "SIP+D2T": "tcp"}
_SRV_NAMES = {"udp": "_sip._udp.", "tcp": "_sip._tcp."}

_Rank = list[tuple[int, list[SipTarget]]]
"Servers of the same priority, each with its weight and its addresses."


class NameNotFound(PeerError):
    """A SIP peer's name has no address, or nobody can tell it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    ranks: list[_Rank]
    "Empty for a name without address."
    until: float
    good_until: float


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
        self._under_way: dict[str, asyncio.Task[_Kept]] = {}

    async def resolve(self, address: str) -> list[SipTarget]:
        """
        The addresses of a SIP URI, best first.

        Servers of the same priority come in an order of chance that follows their weights, each
        time anew, so that many calls are spread over them (RFC 2782).

        Raises:
            NameNotFound: If it has none, or nobody answered in time.
            RemoteSipError: If it is no SIP URI.
        """
        uri = SipUri.parse(address)
        transport = (uri.parameters.get("transport") or "").lower()
        host = "127.0.0.1" if uri.address.lower() == "localhost" else uri.address
        if is_address(host):
            return [SipTarget(host, uri.port or DEFAULT_PORT, transport or "udp")]
        kept = self._kept.get(address)
        if kept is None or kept.until <= self._clock.monotonic():
            kept = await self._look_up_once(address, uri, transport)
        targets = [target for rank in kept.ranks for target in _by_weight(rank)]
        if not targets:
            raise NameNotFound(f"{uri.host} has no address in the DNS")
        return list(dict.fromkeys(targets))

    async def _look_up_once(self, address: str, uri: SipUri, transport: str) -> _Kept:
        """Many calls that need a name at the same time wait for one look-up."""
        task = self._under_way.get(address)
        if task is None:
            looking = self._look_up(address, uri, transport)
            task = self._under_way[address] = asyncio.get_running_loop().create_task(looking)
            task.add_done_callback(lambda _: self._under_way.pop(address, None))
        # Who gives up waiting (a call that is hung up) takes nothing from the others.
        return await asyncio.shield(task)

    async def _look_up(self, address: str, uri: SipUri, transport: str) -> _Kept:
        found = await self._search(uri, transport)
        now = self._clock.monotonic()
        old = self._kept.get(address)
        if found is not None and found.ranks:
            until = now + min(max(found.ttl_s, SHORTEST_S), LONGEST_S)
            kept = _Kept(found.ranks, until, now + STALE_S)
        elif found is None and old is not None and now < old.good_until:
            kept = _Kept(old.ranks, now + FAILURE_S, old.good_until)
        else:
            kept = _Kept([], now + FAILURE_S, now)
        self._kept[address] = kept
        self._kept.move_to_end(address)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept

    async def _search(self, uri: SipUri, transport: str) -> _Search | None:
        """What the DNS says; `None` if it says nothing."""
        try:
            search = _Search(self._asker(), uri.address)
            async with asyncio.timeout(TOTAL_LIMIT_S):
                await search.run(uri.port, transport)
        except (TimeoutError, dns.exception.DNSException, OSError):
            return None
        return None if search.was_unanswered and not search.ranks else search

    def _asker(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=self._nameservers is None)
            if self._nameservers is not None:
                resolver.nameservers = list(self._nameservers)
                resolver.port = self._port
            resolver.timeout = QUERY_LIMIT_S / 2
            resolver.lifetime = QUERY_LIMIT_S
            self._resolver = resolver
        return self._resolver


class _Search:
    """One look-up of one name, by the rules of RFC 3263 section 4."""

    def __init__(self, resolver: dns.asyncresolver.Resolver, host: str) -> None:
        self._resolver = resolver
        self._host = host
        self.ranks: list[_Rank] = []
        self.ttl_s = LONGEST_S
        "The shortest of all answers that were used."
        self.was_unanswered = False
        "Whether a name server was silent or failed, so that nothing found proves nothing."

    async def run(self, port: int | None, transport: str) -> None:
        """Fill `ranks`; an explicit port asks for addresses only."""
        if port is None:
            if transport:
                services = [(transport, _SRV_NAMES.get(transport, "") + self._host)]
            else:
                services = await self._naptr() or [
                    (name, prefix + self._host) for name, prefix in _SRV_NAMES.items()
                ]
            found = await asyncio.gather(*(self._srv(name, at) for name, at in services))
            self.ranks = [rank for ranks in found for rank in ranks]
            if self.ranks:
                return
        targets = await self._addresses(self._host, port or DEFAULT_PORT, transport or "udp")
        self.ranks = [[(0, targets)]] if targets else []

    async def _naptr(self) -> list[tuple[str, str]]:
        records = await self._ask(self._host, RdataType.NAPTR)
        found = []
        for record in sorted(records, key=lambda record: (record.order, record.preference)):
            service = record.service.decode("ascii", "replace").upper()
            transport = _NAPTR_TRANSPORTS.get(service)
            if transport is not None and record.flags.lower() == b"s":
                found.append((transport, record.replacement.to_text(omit_final_dot=True)))
        return found

    async def _srv(self, transport: str, service: str) -> list[_Rank]:
        records = await self._ask(service, RdataType.SRV)
        # A lone "." says that there is no such service.
        records = [record for record in records if record.target.to_text() != "."]
        hosts = await asyncio.gather(
            *(
                self._addresses(record.target.to_text(omit_final_dot=True), record.port, transport)
                for record in records
            )
        )
        by_priority: dict[int, _Rank] = {}
        for record, targets in zip(records, hosts, strict=True):
            if targets:
                by_priority.setdefault(record.priority, []).append((record.weight, targets))
        return [by_priority[priority] for priority in sorted(by_priority)]

    async def _addresses(self, host: str, port: int, transport: str) -> list[SipTarget]:
        records = await self._ask(host, RdataType.A)
        return [SipTarget(record.address, port, transport) for record in records]

    async def _ask(self, name: str, kind: RdataType) -> list[Any]:
        """Records of a name; some servers answer A but are silent about NAPTR or SRV."""
        try:
            answer = await self._resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError):
            self.was_unanswered = True
            return []
        if answer.rrset is None:
            return []
        self.ttl_s = min(self.ttl_s, float(answer.rrset.ttl))
        return list(answer)[:MAX_RECORDS]


def _by_weight(rank: _Rank) -> list[SipTarget]:
    """All addresses of a rank, servers by chance in proportion to their weight (RFC 2782)."""
    ordered: list[SipTarget] = []
    left = list(rank)
    while left:
        # A weight of 0 has a small chance beside others.
        chances = [weight + 0.01 for weight, _ in left]
        at = random.choices(range(len(left)), chances)[0]  # noqa: S311 (spreads load, no secret)
        ordered += left.pop(at)[1]
    return ordered
