"""The blocks as APIs: one for each line of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceblocks.accounts.model import Application
from voiceblocks.api.endpoint import ApiFunction
from voiceblocks.api.handlers import BlockSubmitter, CallPlacer
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.registry import SESSION_BLOCKS


def block_functions(submitter: BlockSubmitter) -> dict[str, ApiFunction]:
    """The blocks of calls that exist, by path, each read and then handed to `submitter`."""
    return {path: _function_for(entry.command, submitter) for path, entry in SESSION_BLOCKS.items()}


def start_functions(placer: CallPlacer) -> dict[str, ApiFunction]:
    """The blocks that begin a call, by path."""

    async def dial(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await placer.dial(app, DialCommand.from_fields(fields))

    return {"ivr/start/dial": dial}


def _function_for(command: type[Command], submitter: BlockSubmitter) -> ApiFunction:
    async def submit(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await submitter.submit(app, command.from_fields(fields))

    return submit
