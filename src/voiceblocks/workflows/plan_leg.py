"""From a leg that was allowed and stored to what the engine needs to call it."""

from __future__ import annotations

from collections.abc import Iterable

from voiceblocks.accounts.tokens import SecretKey, UnreadableSecret
from voiceblocks.engine.plan import OutgoingLegPlan
from voiceblocks.log import get_logger
from voiceblocks.trunks.model import Trunk, TrunkRoute
from voiceblocks.trunks.route import route_of
from voiceblocks.workflows.accept_block import Dialled

_log = get_logger("trunks")


def plan_leg(dialled: Dialled, key: SecretKey, *, ring_s: float) -> OutgoingLegPlan:
    """Plan a further leg."""
    return OutgoingLegPlan(
        dest=dialled.leg.dest,
        caller=dialled.leg.caller,
        routes=usable_routes(dialled.trunks, key),
        ring_s=ring_s,
        leg_id=dialled.leg.id,
    )


def usable_routes(trunks: Iterable[Trunk], key: SecretKey) -> tuple[TrunkRoute, ...]:
    """
    Return the trunks with their passwords in clear.

    The call is stored by now and must run its course. So a trunk whose password was sealed
    with another key is left out, as one that does not answer; without any the call fails.
    """
    routes = []
    for trunk in trunks:
        try:
            routes.append(route_of(trunk, key))
        except UnreadableSecret:
            _log.error("trunk_password_unreadable", trunk=trunk.name)
    return tuple(routes)
