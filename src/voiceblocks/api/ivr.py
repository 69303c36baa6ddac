"""The blocks as APIs: one for each line of the registry."""

from __future__ import annotations

from collections.abc import Mapping

from voiceblocks.accounts.model import Application
from voiceblocks.api.endpoint import ApiFunction
from voiceblocks.api.handlers import BlockSubmitter
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.registry import SESSION_BLOCKS


def block_functions(submitter: BlockSubmitter) -> dict[str, ApiFunction]:
    """The blocks of calls that exist, by path, each read and then handed to `submitter`."""
    return {path: _function_for(entry.command, submitter) for path, entry in SESSION_BLOCKS.items()}


def _function_for(command: type[Command], submitter: BlockSubmitter) -> ApiFunction:
    async def submit(app: Application, fields: Fields) -> Mapping[str, str]:
        return await submitter.submit(app, command.from_fields(fields))

    return submit
