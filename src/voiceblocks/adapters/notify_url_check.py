"""Whether a notify_url can be used at all, asked while the request waits (decision 22).

Only what will not get better by itself fails a request: an address that the guard refuses,
a name that does not exist, a TLS handshake that fails. A server that refuses connections
or is slow may be there in a moment; the retries deal with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from voiceblocks.adapters.address_guard import (
    NameNotResolved,
    OutgoingHttpError,
    TargetRefused,
    TlsFailed,
    read_target,
)
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.clock import Clock
from voiceblocks.errors import InvalidRequest

CONNECT_LIMIT_S = 2.0
KEEP_GOOD_S = 60.0
KEEP_BAD_S = 10.0
KEEP_MAX = 4096

STATUSES: dict[type[OutgoingHttpError], str] = {
    TargetRefused: "error_invalid_notify_url",
    NameNotResolved: "error_unable_to_resolve_notify_url",
    TlsFailed: "error_unable_to_complete_ssl_handshake_notify_url",
}
"What fails a request; every other failure is accepted."


@dataclass(frozen=True, slots=True)
class _Kept:
    status: str | None
    until_s: float


class NotifyUrlCheck:
    """
    Checks notify_urls, once a minute for each server.

    Checks of one server at the same time are one. Belongs to one event loop.

    Args:
        http: The client that will send the notifications.
        clock: Its monotonic time ages what is kept.
        connect_limit_s: After so long a server counts as slow, which is fine.
    """

    def __init__(
        self, http: GuardedHttp, clock: Clock, *, connect_limit_s: float = CONNECT_LIMIT_S
    ) -> None:
        self._http = http
        self._clock = clock
        self._connect_limit_s = connect_limit_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._running: dict[str, asyncio.Task[str | None]] = {}

    async def check(self, url: str) -> None:
        """
        Accept `url` or refuse it.

        Raises:
            InvalidRequest: With `error_invalid_notify_url`,
                `error_unable_to_resolve_notify_url` or
                `error_unable_to_complete_ssl_handshake_notify_url`.
        """
        try:
            target = read_target(url)
        except TargetRefused as error:
            raise InvalidRequest(STATUSES[TargetRefused]) from error
        status = await self._status_of(f"{target.scheme}://{target.origin}")
        if status is not None:
            raise InvalidRequest(status)

    async def _status_of(self, server: str) -> str | None:
        kept = self._kept.get(server)
        if kept is not None and kept.until_s > self._clock.monotonic():
            return kept.status
        task = self._running.get(server)
        if task is None:
            task = asyncio.create_task(self._ask(server))
            self._running[server] = task
            task.add_done_callback(lambda _: self._running.pop(server, None))
        # Whoever asked first may go away without taking the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, server: str) -> str | None:
        status = None
        try:
            await self._http.check_connection(server, self._connect_limit_s)
        except OutgoingHttpError as error:
            status = STATUSES.get(type(error))
        keep_s = KEEP_GOOD_S if status is None else KEEP_BAD_S
        self._kept[server] = _Kept(status, self._clock.monotonic() + keep_s)
        self._kept.move_to_end(server)
        while len(self._kept) > KEEP_MAX:
            self._kept.popitem(last=False)
        return status
