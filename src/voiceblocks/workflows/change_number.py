"""An operator changes what a number rings. A function of a connection, as in `manage_accounts`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from voiceblocks.accounts.model import Number
from voiceblocks.database import accounts
from voiceblocks.workflows.change_account import NO_VALUE
from voiceblocks.workflows.disable import require_application, require_number
from voiceblocks.workflows.manage_accounts import require_deliverable


def change_number(
    connection: Connection,
    text: str,
    *,
    app_id: str | None = None,
    notify_url: str | None = None,
    auto_extend: bool | None = None,
) -> Number:
    """
    Change what is named; returns the number as it is then.

    A subscribed number stays its account's: only applications of that can get it.
    """
    number = require_number(connection, text)
    columns: dict[str, Any] = {}
    if app_id is not None:
        new = require_application(connection, app_id)
        old = require_application(connection, number.app_id)
        if number.expires_us is not None and new.account_id != old.account_id:
            raise ValueError(
                f"{number.number} was subscribed by {old.account_id}, which has paid for it: give "
                "it to an application of that account"
            )
        columns["app_id"] = new.id
    if notify_url is not None:
        if notify_url != NO_VALUE:
            require_deliverable(notify_url)
        columns["notify_url"] = None if notify_url == NO_VALUE else notify_url
    if auto_extend is not None:
        if number.expires_us is None:
            raise ValueError(f"{number.number} was not subscribed, so it does not expire")
        columns["auto_extend"] = auto_extend
    if not columns:
        raise ValueError("Nothing to change: see `voiceblocks number set --help`")
    accounts.update_number(connection, number.number, **columns)
    return require_number(connection, text)
