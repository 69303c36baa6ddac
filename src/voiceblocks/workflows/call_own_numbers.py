"""Calls from the console's phone: what somebody may ring there, and as whom.

Only our own numbers of the user's account, or of all accounts for an operator: it never leads out,
so it needs no permission to dial and cannot cost what a carrier asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks import e164
from voiceblocks.accounts.model import NumberRoute
from voiceblocks.clock import Clock
from voiceblocks.database import accounts, console_lists
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import RequestRefused
from voiceblocks.log import get_logger
from voiceblocks.users.model import User

_log = get_logger("console")

NUMBERS_MOST: Final = 200
_SESSIONS_MOST: Final = 20

BROWSER: Final = "browser"
"""Who calls, where the account has no registered number: a word that nobody can dial, so an
application that calls back, or writes to who called, reaches no stranger."""

NOT_YOURS: Final = (
    "This number cannot be called from here: it is not one of yours, or it is no number any more. "
    "Load this page again."
)
RINGS_NOBODY: Final = (
    "Nobody is told of calls to this number: its application was revoked, or the number has no "
    "notify_url. Set one with the API's number/update_forwarding."
)


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """A number that may be rung from the console."""

    number: str
    application: str
    account: str
    account_id: str
    caller: str
    "Who rings it, as its application is told."
    is_reachable: bool
    "Whether anybody is told of a call to it."


class CallOwnNumbers:
    """
    What the console's phone needs to know.

    Args:
        database: The node's database.
        clock: For since when a call is looked for.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def numbers(self, user: User) -> list[OwnNumber]:
        """Return what the user may ring, in order; not more than a page can show."""
        now_us = self._clock.utc_us()
        routes = await self._database.read(
            lambda c: accounts.list_routes(c, user.account_id, NUMBERS_MOST)
        )
        return [_own(route) for route in routes if not _has_expired(route, now_us)]

    async def own_number(self, user: User, number: str) -> OwnNumber:
        """
        Return a number that the user wants to ring now.

        Raises:
            RequestRefused: If it is not theirs, or nobody would be told of the call.
        """
        now_us = self._clock.utc_us()
        route = await self._database.read(lambda c: accounts.find_number(c, number))
        if (
            route is None
            or user.account_id not in {None, route.account.id}
            or _has_expired(route, now_us)
        ):
            raise RequestRefused(NOT_YOURS)
        found = _own(route)
        if not found.is_reachable:
            raise RequestRefused(RINGS_NOBODY)
        _log.info("called_from_browser", user=user.id, called=e164.masked(number))
        return found

    def now_us(self) -> int:
        """Since when the next call may be looked for."""
        return self._clock.utc_us()

    async def sessions_of(self, called: OwnNumber, since_us: int) -> list[str]:
        """Return the sessions of the calls that were rung from here since then, oldest first."""
        return await self._database.read(
            lambda c: console_lists.calls_between(
                c,
                called.account_id,
                caller=called.caller,
                number=called.number,
                since_us=since_us,
                limit=_SESSIONS_MOST,
            )
        )


def _own(route: NumberRoute) -> OwnNumber:
    is_told = route.number.notify_url is not None and route.application.revoked_us is None
    return OwnNumber(
        number=route.number.number,
        application=route.application.name,
        account=route.account.name,
        account_id=route.account.id,
        caller=route.account.registered_number or BROWSER,
        is_reachable=is_told,
    )


def _has_expired(route: NumberRoute, now_us: int) -> bool:
    return route.number.expires_us is not None and route.number.expires_us <= now_us
