"""`voice/…` and `conference/…` as APIs: what is no block of a call that the application leads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceblocks.accounts.model import Application
from voiceblocks.api.endpoint import ApiFunction
from voiceblocks.api.handlers import CallModeration, CallPlacer, CallQueries
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand


def call_functions(placer: CallPlacer) -> dict[str, ApiFunction]:
    """The APIs that call numbers, by path."""

    async def call(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await placer.call(app, CallCommand.from_fields(fields))

    async def conference(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await placer.conference(app, ConferenceCommand.from_fields(fields))

    async def old_conference(app: Application, fields: Fields) -> Mapping[str, Any]:
        answer = await conference(app, fields)
        # Every library takes it apart at the commas (spec section 15.1, no. 15).
        return {**answer, "txn_refs": ",".join(answer["txn_refs"])}

    return {
        "voice/call": call,
        "voice/conference": old_conference,
        "conference/call": conference,
    }


def moderation_functions(moderation: CallModeration) -> dict[str, ApiFunction]:
    """The APIs that act on calls by their transaction, by path."""

    async def moderate(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await moderation.moderate(app, ModerateCommand.from_fields(fields))

    async def hang_up(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await moderation.hang_up(app, VoiceHangupCommand.from_fields(fields))

    return {"conference/moderate": moderate, "voice/hangup": hang_up}


def query_functions(queries: CallQueries) -> dict[str, ApiFunction]:
    """The APIs that tell about calls, by path."""

    async def query_status(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await queries.query_status(app, QueryStatusCommand.from_fields(fields))

    async def get_history(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await queries.get_history(app, GetHistoryCommand.from_fields(fields))

    async def get_rate(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await queries.get_rate(app, GetRateCommand.from_fields(fields))

    return {
        "voice/query_status": query_status,
        "voice/get_history": get_history,
        "voice/get_rate": get_rate,
    }
