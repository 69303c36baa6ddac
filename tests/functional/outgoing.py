"""What tests of outgoing calls share: a carrier of their own, and numbers behind it."""

from __future__ import annotations

import itertools
import secrets
from types import TracebackType
from typing import Any, Self

from tests.harness import Application, Option
from voiceblocks.testing.answering import Answer, Behaviour
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import PhoneCall

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
        options: Of `trunk add`.
    """

    def __init__(self, app: Application, trunk: FakeTrunk | None = None, **options: Option) -> None:
        self._app = app
        self._options: dict[str, Any] = options
        self._count = itertools.count()
        number = next(_prefixes) % 100_000
        # An address of its own: our server knows a trunk's calls by where they come from.
        self.trunk = trunk or FakeTrunk(f"127.7.{number // 250 % 250}.{number % 250 + 1}")
        self.prefix = f"+658{number:05d}"
        "Six digits behind the country code; two more make a number."

    async def __aenter__(self) -> Self:
        """Open its sockets, make the trunk, allow its numbers."""
        await self.trunk.__aenter__()
        await self._app.server.add_trunk(
            f"carrier{self.prefix[1:]}", self.trunk.address, prefix=(self.prefix,), **self._options
        )
        await self._app.allow(self.prefix)
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
