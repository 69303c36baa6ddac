"""Where the trunks are: names turned into addresses, and addresses back into trunks.

Names are looked up off the loop's way and again each `REFRESH_S`, so that a carrier that moves
is found again, and its calls are let in (decision 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from voiceblocks.errors import PeerError
from voiceblocks.log import get_logger
from voiceblocks.sip.routing import is_address
from voiceblocks.sip.source_guard import SourceGuard, read_address, read_network
from voiceblocks.sip.target import SipTarget
from voiceblocks.sip.uri import SipUri
from voiceblocks.trunks.model import Trunk, TrunkRoute

_log = get_logger("trunks")

REFRESH_S = 60.0


class AddressResolver(Protocol):
    """Fulfilled by `adapters.sip_resolver.SipResolver`."""

    async def resolve(self, address: str) -> list[SipTarget]:
        """
        The addresses of a SIP URI, best first (RFC 3263).

        Raises:
            PeerError: If it has none.
        """
        ...


class TrunkAddresses:
    """
    Knows the present trunks.

    Args:
        resolver: Looks names up.
        guard: Told which networks are trunks'.
    """

    def __init__(self, resolver: AddressResolver, guard: SourceGuard) -> None:
        self._resolver = resolver
        self._guard = guard
        self._trunks: tuple[Trunk, ...] = ()
        self._found: dict[str, tuple[str, ...]] = {}
        self._networks: tuple[tuple[IPv4Network | IPv6Network, Trunk], ...] = ()
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """Those that are not disabled."""
        return self._trunks

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """The trunks are these from now on."""
        self._trunks = tuple(trunk for trunk in trunks if trunk.disabled_us is None)
        known = {trunk.id for trunk in self._trunks}
        self._found = {key: hosts for key, hosts in self._found.items() if key in known}
        self._note_networks()
        self.stop()
        self._refreshing = asyncio.get_running_loop().create_task(self._refresh_often())

    def stop(self) -> None:
        """Look nothing up any more."""
        if self._refreshing is not None:
            self._refreshing.cancel()

    async def targets(self, route: TrunkRoute) -> list[SipTarget]:
        """
        Where a call over this trunk is sent, best first.

        Raises:
            PeerError: If its name leads nowhere.
        """
        return await self._resolver.resolve(route.address)

    def trunk_of(self, source: str) -> Trunk | None:
        """
        The trunk that a message from this address comes by.

        Of several the one with the narrowest network, then the oldest: two trunks at one
        address cannot be told apart.
        """
        address = read_address(source)
        if address is None:
            return None
        for network, trunk in self._networks:
            if network.version == address.version and address in network:
                return trunk
        return None

    async def refresh(self) -> None:
        """Look all names up now."""
        for trunk in self._trunks:
            try:
                targets = await self._resolver.resolve(trunk.address)
            except (PeerError, OSError) as error:
                # The addresses of the last look stay good.
                _log.warning("trunk_not_found", trunk=trunk.name, reason=str(error))
                continue
            self._found[trunk.id] = tuple(dict.fromkeys(target.host for target in targets))
        self._note_networks()

    async def _refresh_often(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:  # noqa: BLE001 (logged; carriers that move must be found again)
                _log.exception("trunks_not_refreshed")
            await asyncio.sleep(REFRESH_S)

    def _note_networks(self) -> None:
        found = [
            (read_network(text), trunk)
            for trunk in self._trunks
            for text in (*trunk.sources, *_literal(trunk), *self._found.get(trunk.id, ()))
        ]
        found.sort(key=lambda pair: (-pair[0].prefixlen, pair[1].created_us, pair[1].name))
        self._networks = tuple(found)
        self._guard.set_trunk_networks([str(network) for network, _ in found])


def _literal(trunk: Trunk) -> tuple[str, ...]:
    """An address that needs no look-up lets its calls in at once."""
    host = SipUri.parse(trunk.address).address
    return (host,) if is_address(host) else ()
