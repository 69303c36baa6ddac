"""Which web addresses an application may name at all: pure syntax, no network.

Whether an address may be *reached* is asked elsewhere, by the guarded client
(decision 22). What passes here has one reading only: no credentials, no
backslash, no blank and no control character, so that the parser that checks and
the one that connects cannot disagree about the host.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

# Blanks of every script, controls (which `urlsplit` would silently drop), and backslashes
# (which browsers read as slashes and others as part of the host).
_NEVER = re.compile(r"[\s\x00-\x20\x7f-\x9f\\]")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]*)?\Z")
_HOST_MAX = 253
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


def split_web_url(text: str) -> SplitResult | None:
    """
    Take apart an absolute http or https address.

    Returns:
        Its parts, or `None` where it has no host, has credentials, a port outside 1-65535,
        another scheme, or characters that do not belong there. Characters beyond ASCII are
        fine, in the path as in the host (IDNA).
    """
    if _NEVER.search(text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or port == 0:
        return None
    host = parts.hostname
    bracketed = "[" in parts.netloc
    # `urlsplit` reads `[::1]evil` as the host `::1`.
    if bracketed and not _BRACKETED.match(parts.netloc):
        return None
    return parts if host and _is_host(host, bracketed=bracketed) else None


def _is_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    if len(host) > _HOST_MAX:
        return False
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = ascii_host.removesuffix(".").split(".")
    return all(_LABEL.match(label) for label in labels)
