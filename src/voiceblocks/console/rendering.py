"""Templates to pages, with what no page may leave without."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response

from voiceblocks import __version__
from voiceblocks.money import format_amount
from voiceblocks.sessions.model import Session
from voiceblocks.workflows.sign_in import Visitor

# Only our own files, no inline script or style: what a caller's name smuggles in cannot run.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
SECURE: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
    "cache-control": "no-store",
}


_NONE: Final = "\N{EN DASH}"


def _time(at_us: int | None) -> Markup:
    """A moment, in UTC; the page's script shows it in the reader's own time."""
    if at_us is None:
        return Markup("&ndash;")
    moment = datetime.fromtimestamp(at_us / 1e6, UTC)
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}">{} UTC</time>').format(
        moment.isoformat(timespec="milliseconds"), text
    )


def _length(duration_ms: int | None) -> str:
    if duration_ms is None:
        return _NONE
    minutes, tenths = divmod(duration_ms // 100, 600)
    hours, minutes = divmod(minutes, 60)
    whole = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{whole}:{tenths / 10:04.1f}"


def _talked(call: Session) -> int | None:
    """Milliseconds from answer to end; `None` where one of them is not known."""
    if call.ended_us is None or call.answered_us is None:
        return None
    return (call.ended_us - call.answered_us) // 1000


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return _NONE
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _words(value: object) -> str:
    return str(value).replace("_", " ")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("voiceblocks.console"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": _time,
        "duration": _length,
        "talked": _talked,
        "size": _size,
        "words": _words,
        "amount": format_amount,
        "shell": shlex.quote,
    }
    environment.globals["version"] = __version__
    return environment


_ENVIRONMENT: Final = _environment()


def page(
    template: str,
    visitor: Visitor | None = None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    **values: Any,
) -> Response:
    """Return a page; every value is escaped."""
    html = _ENVIRONMENT.get_template(template).render(visitor=visitor, **values)
    return HTMLResponse(html, int(status), SECURE)


def sorry(visitor: Visitor | None, status: HTTPStatus, sentence: str) -> Response:
    """Return a page that says what is wrong and what to do."""
    return page("sorry.html", visitor, status=status, sentence=sentence, title=status.phrase)


def go_to(path: str) -> Response:
    """Send the browser on, after a form too."""
    return RedirectResponse(path, int(HTTPStatus.SEE_OTHER), SECURE)
