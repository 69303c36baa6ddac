"""`user/…` and `number/…` as APIs: what an application asks about its account and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voiceblocks.accounts.model import Application
from voiceblocks.api.endpoint import ApiFunction
from voiceblocks.api.handlers import AccountQueries, NumberShop
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.get_choices import GetChoicesCommand
from voiceblocks.blocks.get_rates import GetRatesCommand
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand


def user_functions(account: AccountQueries) -> dict[str, ApiFunction]:
    """The APIs about the account, by path."""

    async def get_balance(app: Application, _fields: Fields) -> Mapping[str, Any]:
        return await account.get_balance(app)

    async def get_info(app: Application, _fields: Fields) -> Mapping[str, Any]:
        return await account.get_info(app)

    return {"user/get_balance": get_balance, "user/get_info": get_info}


def number_functions(shop: NumberShop) -> dict[str, ApiFunction]:
    """The APIs about numbers, by path."""

    async def get_active(app: Application, _fields: Fields) -> Mapping[str, Any]:
        return await shop.get_active(app)

    async def get_countries(app: Application, _fields: Fields) -> Mapping[str, Any]:
        return await shop.get_countries(app)

    async def get_choices(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await shop.get_choices(app, GetChoicesCommand.from_fields(fields))

    async def get_rates(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await shop.get_rates(app, GetRatesCommand.from_fields(fields))

    async def subscribe(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await shop.subscribe(app, SubscribeCommand.from_fields(fields))

    async def update_forwarding(app: Application, fields: Fields) -> Mapping[str, Any]:
        return await shop.update_forwarding(app, UpdateForwardingCommand.from_fields(fields))

    return {
        "number/get_active": get_active,
        "number/get_countries": get_countries,
        "number/get_choices": get_choices,
        "number/get_rates": get_rates,
        "number/subscribe": subscribe,
        "number/update_forwarding": update_forwarding,
    }
