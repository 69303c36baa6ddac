"""The settings as the rules that workflows and the engine go by."""

from __future__ import annotations

import functools
from pathlib import Path

from voiceblocks.engine.call_clocks import CallLimits
from voiceblocks.engine.engine_config import EngineConfig
from voiceblocks.server.folders import free_bytes
from voiceblocks.settings import Settings, parse_listen
from voiceblocks.workflows.admit_recording import MB, RecordingRules
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules


def engine_config(settings: Settings) -> EngineConfig:
    """Return where the engine listens and how long calls may last."""
    host, port = parse_listen(settings.sip_listen)
    return EngineConfig(
        sip_host=host,
        sip_port=port,
        sip_public_address=settings.sip_public_address,
        media_address=settings.media_address,
        limits=CallLimits(
            answer_timeout_s=settings.answer_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            max_call_s=settings.max_call_s,
        ),
        max_room_participants=settings.max_room_participants,
    )


def outgoing_rules(settings: Settings) -> OutgoingRules:
    """Return who may be called, and how often."""
    return OutgoingRules(
        node=settings.node,
        max_calls_per_account=settings.max_calls_per_account,
        dials_per_minute=settings.dials_per_minute,
        dest1_sees_dest2=settings.call_dest1_sees == "dest2",
    )


def recording_rules(settings: Settings, folders: tuple[Path, ...]) -> RecordingRules:
    """Return when a new recording is begun; `folders` are where recordings take up room."""
    return RecordingRules(
        free_bytes=functools.partial(free_bytes, folders),
        reserve_bytes=settings.disk_reserve_mb * MB,
        quota_bytes=settings.recordings_quota_mb * MB,
        max_call_s=settings.max_call_s,
    )
