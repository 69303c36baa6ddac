"""What browsers send: forms, and whether they come from our own pages."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import HTTPConnection, Request

from voiceblocks.errors import RequestRefused

_BODY_MAX: Final = 16_384
COOKIE: Final = "voiceblocks_console"


async def read_form(request: Request) -> dict[str, str]:
    """
    Return the fields of a form.

    Raises:
        RequestRefused: If it is no form, too long, or was sent by another site's page.
    """
    _refuse_foreign(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_MAX:
            raise RequestRefused("That is more than a form of this console sends.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise RequestRefused("That is no form of this console.") from error
    return dict(pairs)


def check_token(form: dict[str, str], expected: str) -> None:
    """
    Refuse a form without its visit's token.

    Raises:
        RequestRefused: With what to do.
    """
    if not hmac.compare_digest(form.get("token", "").encode(), expected.encode()):
        raise RequestRefused("This page was open for too long: load it again and repeat.")


def is_foreign(connection: HTTPConnection) -> bool:
    """Whether another site's page made the browser send this."""
    # Browsers say where a form comes from; whoever says nothing is no browser of a victim.
    origin = connection.headers.get("origin")
    if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    try:
        return origin is not None and urlsplit(origin).netloc != connection.headers.get("host")
    except ValueError:
        return True


def _refuse_foreign(request: Request) -> None:
    if is_foreign(request):
        raise RequestRefused("This form was sent by another site.")
