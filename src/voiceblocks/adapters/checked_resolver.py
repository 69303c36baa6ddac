"""Names of web servers turned into addresses that the guard allows (decision 22).

A name is looked up once for each connection, here, and what was judged is what is connected
to: a name server that answers differently the second time (DNS rebinding) is not asked twice.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.asyncresolver
import dns.exception
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.nameserver import Do53Nameserver
from dns.rdatatype import RdataType

from voiceblocks.adapters.address_guard import (
    AddressGuard,
    IpAddress,
    NameNotResolved,
    Target,
    TargetRefused,
)

LOOKUP_LIMIT_S = 5.0
LOOKUP_GOOD_S = 10.0
LOOKUP_BAD_S = 2.0
LOOKUP_CACHE_MAX = 4096
ADDRESSES_MAX = 8
"Of one name: each is tried in turn, and a name may list thousands."
# Look-ups block a thread each, for many seconds when a name server is dead.
LOOKUP_THREADS = 16

Lookup = Callable[[str], Awaitable[list[str]]]
"A host's addresses as text; raises `OSError` where there are none."


class CheckedResolver(AbstractResolver):
    """
    Looks names up, and gives out only addresses that the guard allows.

    Answers are kept for some seconds, also bad ones; look-ups of one host at the same time
    are one.

    Args:
        guard: Judges each address.
        lookup: How to look up; by default the system's resolver in threads of its own.
    """

    def __init__(self, guard: AddressGuard, lookup: Lookup | None = None) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        self._lookup = lookup or self._lookup_in_thread
        self._kept: OrderedDict[str, tuple[float, list[str] | None]] = OrderedDict()
        self._running: dict[str, asyncio.Task[list[str] | None]] = {}

    async def addresses_of(self, target: Target) -> list[IpAddress]:
        """
        Return the allowed addresses of a target, at least one.

        Raises:
            NameNotResolved: If its name has no address.
            TargetRefused: If it has, but none that may be reached.
        """
        if target.address is not None:
            self._guard.require(target.address)
            return [target.address]
        found = await self._find(target.host)
        if not found:
            raise NameNotResolved("the name has no address")
        allowed = [text for text in found if self._guard.allows_text(text)]
        if not allowed:
            raise TargetRefused("an address that is not public")
        return [ipaddress.ip_address(text) for text in allowed[:ADDRESSES_MAX]]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Fulfil aiohttp's resolver; raises as `addresses_of`."""
        del family
        addresses = await self.addresses_of(Target("http", host, port, None))
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=family_of(address),
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Forget everything; threads that still look up end by themselves."""
        for task in self._running.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _find(self, host: str) -> list[str] | None:
        kept = self._kept.get(host)
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        task = self._running.get(host)
        if task is None:
            task = asyncio.create_task(self._look_up(host))
            self._running[host] = task
            task.add_done_callback(lambda _: self._running.pop(host, None))
        # Who asked first may give up without taking the answer from the others.
        return await asyncio.shield(task)

    async def _look_up(self, host: str) -> list[str] | None:
        found: list[str] | None
        try:
            async with asyncio.timeout(LOOKUP_LIMIT_S):
                found = await self._lookup(host)
        # UnicodeError: what the system's resolver says to a label that is too long.
        except (OSError, UnicodeError):
            found = None
        keep_s = LOOKUP_GOOD_S if found else LOOKUP_BAD_S
        self._kept[host] = (time.monotonic() + keep_s, found)
        self._kept.move_to_end(host)
        while len(self._kept) > LOOKUP_CACHE_MAX:
            self._kept.popitem(last=False)
        return found

    async def _lookup_in_thread(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(self._threads, _system_lookup, host)
        return list(dict.fromkeys(str(info[4][0]) for info in infos))


def family_of(address: IpAddress) -> socket.AddressFamily:
    """The kind of socket that reaches `address`."""
    is_v6 = isinstance(address, ipaddress.IPv6Address)
    return socket.AF_INET6 if is_v6 else socket.AF_INET


def _system_lookup(host: str) -> list[Any]:
    # AI_ADDRCONFIG leaves out IPv6 addresses on machines that have no IPv6.
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class NameServers:
    """
    A `Lookup` that asks certain name servers instead of the system's resolver.

    Neither `/etc/hosts` nor search domains count, so that strangers' URLs cannot use names
    that mean something only inside the operator's network.

    Args:
        servers: Addresses and ports.
    """

    def __init__(self, servers: Sequence[tuple[str, int]]) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [Do53Nameserver(host, port) for host, port in servers]
        self._resolver.timeout = LOOKUP_LIMIT_S / 2
        self._resolver.lifetime = LOOKUP_LIMIT_S

    async def __call__(self, host: str) -> list[str]:
        """
        Return the addresses of a name, those of IPv4 first.

        Raises:
            OSError: If it has none, or no server answers.
        """
        answers = await asyncio.gather(
            self._ask(host, RdataType.A), self._ask(host, RdataType.AAAA)
        )
        addresses = [text for answer in answers for text in answer]
        if not addresses:
            raise OSError("no address in the DNS")
        return addresses

    async def _ask(self, host: str, kind: RdataType) -> list[str]:
        try:
            answer = await self._resolver.resolve(f"{host}.", kind, search=False)
        except dns.exception.DNSException:
            # One kind of address is enough: a machine may have the other broken.
            return []
        return [record.address for record in answer]
