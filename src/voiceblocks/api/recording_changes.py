"""`recording/…` as APIs: what an application does with its recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceblocks.accounts.model import Application
from voiceblocks.api.endpoint import ApiFunction
from voiceblocks.api.handlers import CallModeration, RecordingChanges
from voiceblocks.blocks.delete_recording import DeleteRecordingCommand
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand


def recording_functions(
    changes: RecordingChanges, moderation: CallModeration
) -> dict[str, ApiFunction]:
    """The APIs that act on recordings, by path."""

    async def pause(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await moderation.pause(app, PauseRecordingCommand.from_fields(fields))

    async def resume(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await moderation.resume(app, ResumeRecordingCommand.from_fields(fields))

    async def health(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await changes.health(app, RecordingHealthCommand.from_fields(fields))

    async def link(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await changes.link(app, RenewLinkCommand.from_fields(fields))

    async def revoke(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await changes.revoke(app, RevokeLinksCommand.from_fields(fields))

    async def delete(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await changes.delete(app, DeleteRecordingCommand.from_fields(fields))

    return {
        "recording/pause": pause,
        "recording/resume": resume,
        "recording/health": health,
        "recording/link": link,
        "recording/revoke": revoke,
        "recording/delete": delete,
    }
