"""What tests of outgoing calls share: a carrier of their own, and numbers behind it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection

from tests.harness import Application
from voiceblocks import ids
from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.database import trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.answering import Answer, Behaviour
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import PhoneCall
from voiceblocks.trunks.model import CallerIn, DialledIn, DtmfMode, NumberFormat, Trunk
from voiceblocks.workflows import change_account

ARRIVAL_LIMIT_S = 10.0

_prefixes = itertools.count(secrets.randbelow(90_000))


class Carrier:
    """
    A trunk of the server for one test: its numbers begin as no other test's do.

    The application may call them.

    ```
    async with Carrier(app) as carrier:
        busy, friend = carrier.number(BUSY), carrier.number(Answer(rings=1))
        await app.dial(friend)
        call = await carrier.call_to(friend)
    ```

    Args:
        app: Who may call them.
        trunk: The far end; a plain one if omitted.
        second_to: Another one, whose numbers this carries as well, where the other cannot.
        options: Of `trunk add`, such as `username="us"`, `caller_in="pai"`, `sources=(…,)`.
    """

    def __init__(
        self,
        app: Application,
        trunk: FakeTrunk | None = None,
        *,
        second_to: Carrier | None = None,
        **options: Any,
    ) -> None:
        self._app = app
        self._options = options
        self._count = itertools.count()
        number = next(_prefixes) % 100_000
        # An address of its own: our server knows a trunk's calls by where they come from.
        self.trunk = trunk or FakeTrunk(f"127.7.{number // 250 % 250}.{number % 250 + 1}")
        self.prefix: str = second_to.prefix if second_to else f"+658{number:05d}"
        "Six digits behind the country code; two more make a number."
        self.name = f"carrier{number}"

    async def __aenter__(self) -> Self:
        """Open its sockets, make the trunk, allow its numbers."""
        await self.trunk.__aenter__()
        await asyncio.to_thread(self._create)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up everything."""
        await self.trunk.__aexit__(kind, error, traceback)

    def number(self, behaviour: Behaviour | None = None) -> str:
        """A new number behind the trunk, and what becomes of calls to it: answered if omitted."""
        number = f"{self.prefix}{next(self._count):02d}"
        self.trunk.route(number, behaviour or Answer())
        return number

    async def call_to(self, number: str) -> PhoneCall:
        """Our server's next call to a number, as its phone has it."""
        return await self.trunk.incoming(ARRIVAL_LIMIT_S, number)

    def _create(self) -> None:
        """What `trunk add` and `account allow` do, without two processes for each test."""
        server = self._app.server
        key = load_or_create(server.data_dir / "secret.key")
        trunk_id = ids.new_trunk_id()
        options = dict(self._options)
        password = options.pop("password", None)
        for name, kind in _KINDS.items():
            if name in options:
                options[name] = kind(options[name])
        trunk = Trunk(
            id=trunk_id,
            name=self.name,
            address=f"sip:{self.trunk.address}",
            sealed_password=password and key.seal(password, trunk_id),
            key_id=password and key.key_id,
            prefixes=(self.prefix,),
            created_us=SystemClock().utc_us(),
            **options,
        )

        def store(connection: Connection) -> None:
            trunks.insert(connection, trunk)
            change_account.allow_prefixes(
                connection, account_id=self._app.account_id, prefixes=[self.prefix]
            )

        database = Database(server.database_url)
        try:
            database.run_sync(store)
        finally:
            database.close()


_KINDS: dict[str, Any] = {
    "number_format": NumberFormat,
    "dialled_in": DialledIn,
    "caller_in": CallerIn,
    "dtmf": DtmfMode,
}
