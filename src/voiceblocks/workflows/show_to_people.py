"""What the console shows: calls and their stories, recordings, notifications, an account's things.

Every function takes the user who looks. An operator sees all; somebody of an account sees that
account's things, and what is another's is as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from voiceblocks.accounts.model import Account, Application, Number
from voiceblocks.billing.model import LedgerEntry
from voiceblocks.clock import Clock
from voiceblocks.database import (
    accounts,
    console_lists,
    due_notifications,
    ledger,
    notification_attempts,
    trunks,
)
from voiceblocks.database.console_lists import Cursor, RecordingOfCall
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.state import NotificationState
from voiceblocks.sessions.model import Session
from voiceblocks.trunks.model import Trunk
from voiceblocks.users.model import Role, User
from voiceblocks.workflows.rotate_tokens import name_of
from voiceblocks.workflows.tell_story import Story, tell_story

__all__ = ["Cursor", "RecordingOfCall", "ShowToPeople"]

PAGE: Final = 50
LIVE_MOST: Final = 200
ENTRIES: Final = 20
ACCOUNTS_MOST: Final = 200
"Accounts on a page, and applications and numbers of one; the command line lists all."


@dataclass(frozen=True, slots=True)
class CallPage:
    """Some calls, and where the next page begins (`None` at the end)."""

    calls: tuple[Session, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class RecordingPage:
    """Some recordings, and where the next page begins."""

    recordings: tuple[RecordingOfCall, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class NotificationPage:
    """Some notifications, and where the next page begins."""

    notifications: tuple[Notification, ...]
    next: Cursor | None
    last: dict[str, Attempt]
    "The newest attempt of each, by its id."


@dataclass(frozen=True, slots=True)
class TokenShown:
    """A token, by the name under which it is revoked."""

    name: str
    state: str
    '`"good"` or `"expired"`; the revoked are not shown.'
    made_us: int
    expires_us: int | None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An account with what belongs to it."""

    account: Account
    applications: tuple[Application, ...]
    numbers: tuple[Number, ...]
    entries: tuple[LedgerEntry, ...]
    "The newest of its ledger."
    tokens: dict[str, list[TokenShown]]
    "By application, oldest first."

    @property
    def names(self) -> dict[str, str]:
        """What applications are called, by their ids."""
        return {str(app.id): app.name for app in self.applications}


@dataclass(frozen=True, slots=True)
class AccountsPage:
    """The accounts that somebody may see."""

    accounts: tuple[Account, ...]
    "Oldest first, not more than a page takes."
    count: int
    "All that there are."
    shown: AccountPage | None
    "The one that was asked for, or the only one."


class ShowToPeople:
    """
    Reads for the console.

    Args:
        database: The node's database.
        clock: Tells whether tokens have expired.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def live_calls(self, user: User) -> list[Session]:
        """Return the calls that go on now."""
        return await self._database.read(
            lambda c: console_lists.live_calls(c, user.account_id, LIVE_MOST)
        )

    async def calls(self, user: User, search: str = "", after: Cursor | None = None) -> CallPage:
        """Return a page of calls; `search` is part of a number, or an id."""
        found = await self._database.read(
            lambda c: console_lists.calls(
                c, user.account_id, search=search, after=after, limit=PAGE + 1
            )
        )
        return CallPage(tuple(found[:PAGE]), _next(found))

    async def story(self, user: User, session_or_txn: str) -> Story | None:
        """Return a call's story."""
        return await self._database.read(
            lambda c: tell_story(c, session_or_txn, account_id=user.account_id)
        )

    async def recordings(self, user: User, after: Cursor | None = None) -> RecordingPage:
        """Return a page of recordings."""
        found = await self._database.read(
            lambda c: console_lists.recordings_of_calls(
                c, user.account_id, after=after, limit=PAGE + 1
            )
        )
        return RecordingPage(tuple(found[:PAGE]), _next([one.recording for one in found]))

    async def recording(self, user: User, recording_id: str) -> RecordingOfCall | None:
        """Return one recording."""
        found = await self._database.read(
            lambda c: console_lists.recordings_of_calls(
                c, user.account_id, after=None, limit=1, recording_id=recording_id
            )
        )
        return found[0] if found else None

    async def notifications(
        self,
        user: User,
        state: NotificationState | None = None,
        after: Cursor | None = None,
    ) -> NotificationPage:
        """Return a page of notifications."""

        def look(connection: Connection) -> NotificationPage:
            found = console_lists.notifications_of_calls(
                connection,
                user.account_id,
                states=[] if state is None else [state],
                after=after,
                limit=PAGE + 1,
            )
            last = notification_attempts.last_of(connection, [one.id for one in found[:PAGE]])
            return NotificationPage(tuple(found[:PAGE]), _next(found), last)

        return await self._database.read(look)

    async def notifications_waiting(self) -> int:
        """Return how many of the node's are not settled."""
        return await self._database.read(due_notifications.count_pending)

    async def notification(
        self, user: User, notification_id: str
    ) -> tuple[Notification, list[Attempt]] | None:
        """Return one notification with its attempts."""

        def look(connection: Connection) -> tuple[Notification, list[Attempt]] | None:
            found = console_lists.notifications_of_calls(
                connection,
                user.account_id,
                states=[],
                after=None,
                limit=1,
                notification_id=notification_id,
            )
            if not found:
                return None
            return found[0], notification_attempts.list_of(connection, found[0].id)

        return await self._database.read(look)

    async def accounts(self, user: User, account_id: str = "") -> AccountsPage:
        """Return the user's account; of an operator's the one that is named, and all by name."""

        def look(connection: Connection) -> AccountsPage:
            found = [
                one
                for one in accounts.list_accounts(connection)
                if user.account_id in {None, one.id}
            ]
            named = [one for one in found if one.id == account_id or len(found) == 1]
            now_us = self._clock.utc_us()
            shown = _account_page(connection, named[0], now_us) if named else None
            return AccountsPage(tuple(found[:ACCOUNTS_MOST]), len(found), shown)

        return await self._database.read(look)

    async def trunks(self, user: User) -> list[Trunk]:
        """Return the trunks; nothing for who is no operator."""
        if user.role is not Role.OPERATOR:
            return []
        return await self._database.read(trunks.list_trunks)


def _account_page(connection: Connection, account: Account, now_us: int) -> AccountPage:
    tokens: dict[str, list[TokenShown]] = {}
    for one in accounts.list_tokens_of_account(connection, account.id):
        state = "good" if one.is_valid(now_us) else "expired"
        shown = TokenShown(name_of(one), state, one.created_us, one.expires_us)
        tokens.setdefault(one.app_id, []).append(shown)
    numbers = accounts.list_numbers_of_account(connection, account.id)
    return AccountPage(
        account,
        tuple(accounts.list_applications(connection, account.id)[:ACCOUNTS_MOST]),
        tuple(numbers[:ACCOUNTS_MOST]),
        tuple(ledger.list_of_account(connection, account.id, ENTRIES)),
        tokens,
    )


class _Listed(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def created_us(self) -> int: ...


def _next(found: Sequence[_Listed]) -> Cursor | None:
    """One more than a page was asked for: whether it is there tells whether there is a next."""
    if len(found) <= PAGE:
        return None
    last = found[PAGE - 1]
    return Cursor(last.created_us, last.id)
