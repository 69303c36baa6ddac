"""Who is at the console: sign in by password or by link, stay, sign out.

A name that does not exist, a wrong password and a locked user look alike from outside, except
that a lock is told to whoever gives the right name: they need to know that waiting helps.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.clock import Clock
from voiceblocks.database import users
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import RequestRefused
from voiceblocks.log import get_logger
from voiceblocks.users import passwords
from voiceblocks.users.model import (
    VISIT_S,
    SignInLink,
    User,
    Visit,
    form_token,
    lookup_of,
    new_secret,
)

_SEEN_US = 60_000_000
_log = get_logger("console")

WRONG = "That name and password do not belong together."
STALE_LINK = "This link was used or has expired: ask the operator for `voiceblocks user link NAME`."


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in."""

    user: User
    form_token: str
    "Must come back with each form."


class SignIn:
    """
    Signs people in and out.

    Args:
        database: The node's database.
        clock: For expiry and locks.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        # Each check takes 64 MB and all of a core for a moment.
        self._one_check = asyncio.Semaphore(1)

    async def with_password(self, name: str, password: str) -> str:
        """
        Return the secret for the browser's cookie.

        Raises:
            RequestRefused: With a sentence for the person.
        """
        now_us = self._clock.utc_us()
        user = await self._database.read(lambda connection: users.find_by_name(connection, name))
        locked_us = user.locked_until_us if user is not None else None
        if locked_us is not None and locked_us > now_us:
            minutes = (locked_us - now_us) // 60_000_000 + 1
            raise RequestRefused(f"Too many wrong passwords: try again in {minutes} min.")
        stored = user.password_hash if user is not None and user.disabled_us is None else None
        async with self._one_check:
            right = await asyncio.to_thread(passwords.is_right, stored, password)
        if user is None or not right:
            if user is not None:
                await self._database.run(lambda c: _count_failure(c, name, now_us))
            _log.warning("sign_in_refused", known=user is not None)
            raise RequestRefused(WRONG)
        return await self._begin(user)

    async def link_holder(self, secret: str) -> User:
        """
        Return who a sign-in link is for; the link stays good.

        Raises:
            RequestRefused: If it was used or has expired.
        """
        now_us = self._clock.utc_us()
        return await self._database.run(lambda c: _holder(c, secret, now_us)[0])

    async def with_link(self, secret: str, password: str) -> str:
        """
        Set the first or a new password, use the link up, and return the cookie's secret.

        Raises:
            RequestRefused: If the link is not good, or the password will not do.
        """
        user = await self.link_holder(secret)
        weakness = passwords.weakness_of(password, user.name)
        if weakness is not None:
            raise RequestRefused(weakness)
        async with self._one_check:
            hashed = await asyncio.to_thread(passwords.hash_password, password)
        now_us = self._clock.utc_us()

        def use(connection: Connection) -> None:
            holder, _link = _holder(connection, secret, now_us, lock=True)
            users.use_links(connection, holder.id, now_us)
            users.update(
                connection, holder.id, password_hash=hashed, failed_count=0, locked_until_us=None
            )
            users.end_visits(connection, holder.id)

        await self._database.run(use)
        return await self._begin(user)

    async def visitor(self, secret: str) -> Visitor | None:
        """Return who a browser's cookie belongs to; `None` where they must sign in."""
        if not secret:
            return None
        now_us = self._clock.utc_us()
        user = await self._database.run(lambda c: _visiting(c, lookup_of(secret), now_us))
        return None if user is None else Visitor(user, form_token(secret))

    async def sign_out(self, secret: str) -> None:
        """Make the cookie worthless."""
        await self._database.run(lambda c: users.end_visit(c, lookup_of(secret)))

    async def _begin(self, user: User) -> str:
        secret, now_us = new_secret(), self._clock.utc_us()
        visit = Visit(lookup=lookup_of(secret), user_id=user.id, created_us=now_us, seen_us=now_us)

        def begin(connection: Connection) -> None:
            users.end_visits_before(connection, now_us - VISIT_S * 1_000_000)
            users.update(connection, user.id, failed_count=0, locked_until_us=None)
            users.insert_visit(connection, visit)

        await self._database.run(begin)
        _log.info("signed_in", user=user.id, role=user.role.value)
        return secret


def _count_failure(connection: Connection, name: str, now_us: int) -> None:
    user = users.find_by_name(connection, name)
    if user is None:
        return
    failed = user.failed_count + 1
    locked_s = passwords.locked_for_s(failed)
    locked_us = now_us + locked_s * 1_000_000 if locked_s else None
    users.update(connection, user.id, failed_count=failed, locked_until_us=locked_us)


def _holder(
    connection: Connection, secret: str, now_us: int, *, lock: bool = False
) -> tuple[User, SignInLink]:
    link = users.find_link(connection, lookup_of(secret), lock=lock)
    user = None if link is None else users.find(connection, link.user_id)
    if link is None or user is None or link.used_us is not None or link.expires_us <= now_us:
        raise RequestRefused(STALE_LINK)
    return user, link


def _visiting(connection: Connection, lookup: bytes, now_us: int) -> User | None:
    visit = users.find_visit(connection, lookup)
    if visit is None or visit.seen_us + VISIT_S * 1_000_000 <= now_us:
        return None
    user = users.find(connection, visit.user_id)
    if user is None or user.disabled_us is not None:
        return None
    if visit.seen_us + _SEEN_US < now_us:
        users.see_visit(connection, lookup, now_us)
    return user
