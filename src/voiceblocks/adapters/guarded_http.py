"""The one client for all HTTP requests that we make (decision 22).

Every connection goes to an address that the guard has judged: names are looked up once,
here, and what was judged is what is connected to; a socket is opened only after the guard
has seen its address again. Redirects are followed by us, so that each is a new target.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp
from yarl import URL

from voiceblocks import __version__
from voiceblocks.adapters.address_guard import (
    AddressGuard,
    AnswerRefused,
    ConnectFailed,
    IpAddress,
    IpNetwork,
    Target,
    TargetRefused,
    TimedOut,
    TlsFailed,
    read_target,
    with_host_of,
)
from voiceblocks.adapters.checked_resolver import CheckedResolver, Lookup, family_of
from voiceblocks.adapters.http_failures import our_errors, tls_reason

USER_AGENT = f"Voiceblocks/{__version__}"
MAX_REDIRECTS = 3
ANSWER_START_BYTES = 1024
"How much of a webhook's answer is kept."
_ANSWER_READ_BYTES = 65_536
# Reading a short answer to its end lets the connection be used again; an endless one is cut.
_ANSWER_READ_S = 1.0

# Of a GET: who does not answer a connection, or stops in the middle, is given up sooner than
# who sends slowly. A POST has its caller's limit alone.
GET_CONNECT_S = 5.0
GET_STALL_S = 10.0

CONNECTION_LIMIT = 1024
# Below what common servers wait (Apache and Node.js: 5 s), so that we close first.
KEEP_ALIVE_S = 4.0

KEEPS_POST = frozenset({307, 308})
GET_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_POST_TIMES = aiohttp.ClientTimeout(total=None, sock_connect=None)
_GET_TIMES = aiohttp.ClientTimeout(total=None, sock_connect=GET_CONNECT_S, sock_read=GET_STALL_S)


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer to a request."""

    status: int
    body_start: bytes
    "At most `ANSWER_START_BYTES`."
    latency_ms: int
    "From the call to the answer's header."


class GuardedHttp:
    """
    Makes requests to addresses that the guard allows, over kept-alive connections.

    Belongs to one event loop; made outside of it, used and closed inside.

    Args:
        allow_private: Networks that may be reached although they are not public.
        tls: Verifies servers; by default with the system's authorities.
        lookup: Replaces the system's name look-up.
    """

    def __init__(
        self,
        allow_private: Sequence[IpNetwork] = (),
        *,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self.guard = AddressGuard(allow_private)
        self._tls = tls or ssl.create_default_context()
        self._lookup = lookup
        self._resolver: CheckedResolver | None = None
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        """
        POST `body`, following 307 and 308.

        Raises:
            OutgoingHttpError: One of its kinds, if there is no answer within `timeout_s`.
        """
        begun_s = time.monotonic()
        async with our_errors(), asyncio.timeout(timeout_s):
            for _ in range(MAX_REDIRECTS + 1):
                async with self._open("POST", url, headers, body, _POST_TIMES) as response:
                    if response.status in KEEPS_POST and "Location" in response.headers:
                        url = _redirected(url, response)
                        continue
                    latency_ms = int((time.monotonic() - begun_s) * 1000)
                    return Answer(response.status, await _body_start(response), latency_ms)
            raise AnswerRefused("too many redirects")

    @contextlib.asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        GET, following redirects; the body is read by whoever asked, inside the time limit.

        Content encodings are not undone: a small body must not become a large one.

        Raises:
            OutgoingHttpError: One of its kinds, also while the body is read.
        """
        async with our_errors(), asyncio.timeout(timeout_s):
            for _ in range(MAX_REDIRECTS + 1):
                async with self._open("GET", url, headers, None, _GET_TIMES) as response:
                    if response.status in GET_REDIRECTS and "Location" in response.headers:
                        url = _redirected(url, response)
                        continue
                    yield response
                    return
            raise AnswerRefused("too many redirects")

    @contextlib.asynccontextmanager
    async def exchange(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        POST `body` and let whoever asked read the answer, inside the time limit.

        Redirects are answers: what the headers hold may be for this host only.

        Raises:
            OutgoingHttpError: One of its kinds, also while the answer is read.
        """
        async with (
            our_errors(),
            asyncio.timeout(timeout_s),
            self._open("POST", url, headers, body, _POST_TIMES) as response,
        ):
            yield response

    async def check_connection(self, url: str, timeout_s: float) -> None:
        """
        Look the host up and, for https, shake hands with it.

        Raises:
            TargetRefused, NameNotResolved, TlsFailed: As they say.
            ConnectFailed: If the connection is refused before TLS begins.
            TimedOut: If connecting takes longer than `timeout_s` after the look-up.
        """
        target = read_target(url)
        addresses = await self._checked_resolver().addresses_of(target)
        if not target.is_tls:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._shake_hands(target, addresses)
        except TimeoutError as error:
            raise TimedOut("no connection in time") from error

    async def close(self) -> None:
        """Close the connections. Requests that are running fail."""
        if self._session is not None:
            await self._session.close()
        if self._resolver is not None:
            await self._resolver.close()
        self._session = self._resolver = None

    async def _shake_hands(self, target: Target, addresses: Sequence[IpAddress]) -> None:
        loop = asyncio.get_running_loop()
        opened = await self._connect(target, addresses)
        try:
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=opened, ssl=self._tls, server_hostname=target.host
            )
        except BaseException as error:
            opened.close()
            if isinstance(error, OSError):
                # A reset or an end of file in the middle of it is a failed handshake too.
                raise TlsFailed(tls_reason(error)) from error
            raise
        # Closes the socket, which is the transport's now.
        transport.abort()

    async def _connect(self, target: Target, addresses: Sequence[IpAddress]) -> socket.socket:
        """Connect to the first address that accepts."""
        loop = asyncio.get_running_loop()
        failure: OSError | None = None
        for address in addresses:
            sockaddr = (str(address), target.port)
            opened = self.guard.guarded_socket(family_of(address), socket.SOCK_STREAM, 0, sockaddr)
            try:
                await loop.sock_connect(opened, sockaddr)
            except OSError as error:
                opened.close()
                failure = error
            except BaseException:
                opened.close()
                raise
            else:
                return opened
        raise ConnectFailed("no connection") from failure

    def _checked_resolver(self) -> CheckedResolver:
        if self._resolver is None:
            self._resolver = CheckedResolver(self.guard, self._lookup)
        return self._resolver

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._checked_resolver(),
                use_dns_cache=False,
                ssl=self._tls,
                limit=CONNECTION_LIMIT,
                keepalive_timeout=KEEP_ALIVE_S,
                socket_factory=self._socket_for,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # A proxy of the environment would do look-ups that nobody judged.
                trust_env=False,
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            )
        return self._session

    def _socket_for(self, address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, sockaddr = address_info
        return self.guard.guarded_socket(family, kind, protocol, sockaddr)

    @contextlib.asynccontextmanager
    async def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        times: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request to one target, judged first."""
        target = read_target(url)
        if target.address is not None:
            self.guard.require(target.address)
        exact = URL(with_host_of(_ascii(url), target), encoded=True)
        # Sent once: a kept connection that its server closes just now costs an attempt, but
        # whether the request was read cannot be known, and an attempt is one request.
        response = await self._client().request(
            method, exact, data=body, headers=headers, allow_redirects=False, timeout=times
        )
        async with response:
            yield response


def _redirected(url: str, response: aiohttp.ClientResponse) -> str:
    try:
        return urljoin(url, response.headers["Location"])
    except ValueError:
        raise TargetRefused("a redirect that cannot be read") from None


def _ascii(url: str) -> str:
    """Percent-encode what cannot stand in a request line."""
    return quote(url, safe="%:/?#[]@!$&'()*+,;=-._~")


async def _body_start(response: aiohttp.ClientResponse) -> bytes:
    """Read the answer to its end if that is near, and return its beginning."""
    start = b""
    n_read = 0
    try:
        async with asyncio.timeout(_ANSWER_READ_S):
            async for chunk in response.content.iter_any():
                start = (start + chunk)[:ANSWER_START_BYTES]
                n_read += len(chunk)
                if n_read > _ANSWER_READ_BYTES:
                    response.close()
                    break
    except (TimeoutError, aiohttp.ClientError, OSError):
        # The status says all that matters; the rest of the body may stay away.
        response.close()
    return start
