"""The end of calls whose process died (decisions 12 and 59).

BYE for legs that were answered, CANCEL or a refusal for those that rang: remembered while they
live and said after a restart. ACK and BYE for those whose answer comes only now. Each with the
trunk's password, should it be asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import LocalSipError, VoiceblocksError
from voiceblocks.log import get_logger
from voiceblocks.sip.events import StrayAnswer
from voiceblocks.sip.flow import Flow
from voiceblocks.trunks.model import Trunk, TrunkRoute

_log = get_logger("engine")


def remember(endpoint: SipEndpoint, leg: int, flow: Flow, trunk_id: str | None = None) -> str:
    """
    Return all that ends a leg after a restart, as text for the database.

    Args:
        endpoint: The SIP side.
        leg: Its handle there.
        flow: The way to the far end.
        trunk_id: By which it was called; `None` for who called us.

    Raises:
        LocalSipError: If the leg has ended.
    """
    snapshot = endpoint.run(lambda ua, _now: ua.snapshot(leg))
    # Only where we opened the connection does somebody listen at its other end.
    transport = flow.transport if flow.connection == 0 else "udp"
    facts = {
        "remote": list(flow.remote),
        "transport": transport,
        "snapshot": snapshot,
        "trunk": trunk_id,
    }
    return json.dumps(facts)


def remember_ringing(
    endpoint: SipEndpoint, leg: int, flow: Flow, trunk_id: str | None = None
) -> str:
    """Do as `remember` for a leg without answer, which may have given up: empty text, then."""
    try:
        return remember(endpoint, leg, flow, trunk_id)
    except LocalSipError:
        return ""


class Goodbyes:
    """
    Says them.

    Args:
        endpoint: The SIP side.
        addresses: Knows the trunks.
        open_route: Gives a trunk with its password in clear.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        addresses: TrunkAddresses,
        open_route: Callable[[Trunk], TrunkRoute],
    ) -> None:
        self._endpoint = endpoint
        self._addresses = addresses
        self._open_route = open_route

    def say(self, dialog: str) -> str | None:
        """
        Send BYE, CANCEL or refusal from our present socket, or by a new connection to a trunk.

        The connection of a call that came in over TCP died with its process, and its far end knows
        by that, if the call was answered; a carrier that we called does not. What cannot be read is
        logged: the call is over in any case.

        Args:
            dialog: Of `remember`.

        Returns:
            The Call-ID, `None` for what cannot be read.
        """
        try:
            facts = json.loads(dialog)
            host, port = facts["remote"]
            flow = self._endpoint.flow_to(host, port, facts.get("transport", "udp"))
            credentials = self._credentials(facts.get("trunk"), host)
            return self._endpoint.run(
                lambda ua, now: ua.former.hang_up(facts["snapshot"], flow, now, credentials)
            )
        except (ValueError, KeyError, TypeError, VoiceblocksError) as error:
            _log.warning("goodbye_impossible", error=type(error).__name__)
            return None

    def refuse(self, answer: StrayAnswer) -> None:
        """Hang up on whoever answers a call that nobody here remembers."""
        source = answer.flow.remote[0]
        _log.info("late_answer_hung_up", source=source)
        credentials = self._credentials(None, source)
        self._endpoint.run(lambda ua, now: ua.former.refuse_answer(answer, now, credentials))

    def _credentials(self, trunk_id: str | None, host: str) -> tuple[str, str] | None:
        """Of the trunk of that id, or of the one at that address."""
        named = (trunk for trunk in self._addresses.trunks if trunk.id == trunk_id)
        trunk = next(named, None) or self._addresses.trunk_of(host)
        if trunk is None:
            return None
        try:
            return self._open_route(trunk).credentials
        except VoiceblocksError as error:
            _log.warning("trunk_password_unreadable", trunk=trunk.name, reason=str(error))
            return None
