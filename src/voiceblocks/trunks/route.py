"""From a stored trunk to what a call or a registration needs of it."""

from __future__ import annotations

from typing import Protocol

from voiceblocks.trunks.model import Trunk, TrunkRoute


class Unsealer(Protocol):
    """Opens sealed passwords; the server key (`accounts.tokens.SecretKey`) does."""

    def unseal(self, sealed: bytes, owner_id: str) -> str:
        """Return what was sealed for `owner_id`, or raise `UnreadableSecret`."""
        ...


def route_of(trunk: Trunk, key: Unsealer) -> TrunkRoute:
    """
    Return the trunk with its password in clear.

    Raises:
        UnreadableSecret: If the password was sealed with another key.
    """
    password = None
    if trunk.sealed_password is not None:
        password = key.unseal(trunk.sealed_password, trunk.id)
    return TrunkRoute(
        trunk_id=trunk.id,
        name=trunk.name,
        address=trunk.address,
        username=trunk.username,
        password=password,
        country=trunk.country,
        number_format=trunk.number_format,
        caller_in=trunk.caller_in,
        dtmf=trunk.dtmf,
    )
