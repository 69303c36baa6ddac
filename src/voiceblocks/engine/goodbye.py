"""BYE for calls whose process died (decision 12): remembered at answer, said after a restart."""

from __future__ import annotations

import json

from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.errors import VoiceblocksError
from voiceblocks.log import get_logger
from voiceblocks.sip.flow import Flow

_log = get_logger("engine")


def remember(endpoint: SipEndpoint, leg: int, flow: Flow) -> str:
    """Return all that a BYE after a restart needs, as text for the database."""
    snapshot = endpoint.run(lambda ua, _now: ua.snapshot(leg))
    # Only where we opened the connection does somebody listen at its other end.
    transport = flow.transport if flow.connection == 0 else "udp"
    facts = {"remote": list(flow.remote), "transport": transport, "snapshot": snapshot}
    return json.dumps(facts)


def say(endpoint: SipEndpoint, dialog: str) -> None:
    """
    Send the BYE from our present socket, or by a new connection to a trunk.

    The connection of a call that came in over TCP died with its process, and its far end knows
    by that; a carrier that we called does not. What cannot be read is logged: the call is over in any case.
    """
    try:
        facts = json.loads(dialog)
        host, port = facts["remote"]
        flow = endpoint.flow_to(host, port, facts.get("transport", "udp"))
        endpoint.run(lambda ua, now: ua.bye_from_snapshot(facts["snapshot"], flow, now))
    except (ValueError, KeyError, TypeError, VoiceblocksError) as error:
        _log.warning("goodbye_impossible", error=type(error).__name__)
