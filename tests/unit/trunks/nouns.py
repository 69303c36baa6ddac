"""Trunks to test with."""

from __future__ import annotations

from typing import Any

from voiceblocks.ids import TrunkId
from voiceblocks.trunks.model import Trunk, TrunkRoute


def a_trunk(**fields: Any) -> Trunk:
    """A trunk with these fields."""
    defaults: dict[str, Any] = {
        "id": TrunkId("trk_1"),
        "name": "carrier",
        "address": "sip:sip.carrier.example",
        "created_us": 1,
    }
    return Trunk(**defaults | fields)


def a_route(**fields: Any) -> TrunkRoute:
    """The route of a trunk with these fields."""
    defaults: dict[str, Any] = {
        "trunk_id": TrunkId("trk_1"),
        "name": "carrier",
        "address": "sip:sip.carrier.example",
    }
    return TrunkRoute(**defaults | fields)
