"""What the HTTP library raises, told as our own kinds of failure, without any URL in it."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import AsyncIterator

import aiohttp

from voiceblocks.adapters.address_guard import (
    AnswerRefused,
    ConnectFailed,
    TimedOut,
    TlsFailed,
)


@contextlib.asynccontextmanager
async def our_errors() -> AsyncIterator[None]:
    """Turn aiohttp's exceptions into ours, without the URLs that their texts hold."""
    try:
        yield
    except TimeoutError as error:
        raise TimedOut("no answer in time") from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError) as error:
        raise TlsFailed(tls_reason(error)) from error
    except aiohttp.ClientConnectorError as error:
        # Not the error's own text, which names the address.
        number = error.os_error.errno
        reason = os.strerror(number).lower() if number else "no connection"
        raise ConnectFailed(reason) from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectFailed("broken off before an answer") from error
    except aiohttp.ClientPayloadError as error:
        raise ConnectFailed("broken off within the answer") from error
    except aiohttp.ClientError as error:
        raise AnswerRefused("not an HTTP answer") from error


def tls_reason(error: BaseException) -> str:
    """Why a handshake failed, in words that hold no address."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"certificate: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.lower().replace("_", " ")
    return "no handshake"
