"""Which `<url>`s are links to recordings of ours (decision 23)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote

from voiceblocks.blocks.urls import split_web_url

RECORDINGS_PATH = "/recordings/"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OwnLink:
    """A link into our own recordings; nothing about it is believed yet."""

    object_name: str
    query: Mapping[str, str]


def read_own_link(url: str, public_url: str) -> OwnLink | None:
    """
    Return the link, or `None` where `url` leads elsewhere.

    Scheme, host and port must be those of `public_url`, spelt in whatever way means the
    same; a link that was made under another PUBLIC_URL is a stranger's.
    """
    parts, ours = split_web_url(url), split_web_url(public_url)
    if parts is None or ours is None or _server_of(parts) != _server_of(ours):
        return None
    start = ours.path.rstrip("/") + RECORDINGS_PATH
    path = unquote(parts.path)
    name = path.removeprefix(start)
    if not path.startswith(start) or not name or "/" in name:
        return None
    # As our own HTTP front reads it: of a name that stands twice the first counts.
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    return OwnLink(name, dict(reversed(pairs)))


def _server_of(parts: SplitResult) -> tuple[str, str, int | None]:
    host = (parts.hostname or "").removesuffix(".")
    return parts.scheme, host, parts.port or _DEFAULT_PORTS.get(parts.scheme)
