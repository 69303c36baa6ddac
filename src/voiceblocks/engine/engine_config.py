"""What a call engine is told at its start."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.engine.call_clocks import CallLimits


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Where the engine listens and what it calls itself."""

    sip_host: str
    sip_port: int
    sip_public_address: str
    media_address: str
    limits: CallLimits
    max_room_participants: int = 8
