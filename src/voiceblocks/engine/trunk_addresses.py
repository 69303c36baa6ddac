"""Where the trunks are: names turned into addresses, and addresses back into trunks.

Names are looked up off the loop's way and again each `REFRESH_S`, so that a carrier that moves
is found again, and its calls are let in (decision 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from voiceblocks.errors import PeerError
from voiceblocks.log import get_logger
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.target import SipTarget
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
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def trunks(self) -> tuple[Trunk, ...]:
        """Those that are not disabled."""
        return self._trunks

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """The trunks are these from now on."""
        self._trunks = tuple(trunk for trunk in trunks if trunk.disabled_us is None)
        self._tell_guard()
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
        """The trunk that a message from this address comes by."""
        try:
            address = ip_address(source)
        except ValueError:
            return None
        for trunk in self._trunks:
            for network in self._networks_of(trunk):
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
        self._tell_guard()

    async def _refresh_often(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    def _networks_of(self, trunk: Trunk) -> list[IPv4Network | IPv6Network]:
        texts = (*trunk.sources, *self._found.get(trunk.id, ()))
        return [ip_network(text, strict=False) for text in texts]

    def _tell_guard(self) -> None:
        self._guard.set_trunk_networks(
            [str(network) for trunk in self._trunks for network in self._networks_of(trunk)]
        )
