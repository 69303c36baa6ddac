"""Session timers (RFC 4028): who refreshes the session, and how often.

Pure negotiation: headers in, an agreement and headers out. Sending the refreshes and
watching for theirs is the business of `session_keeper`.
"""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.dialog import option_tags
from voiceblocks.sip.grammar import parse_number
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.parameters import Parameters

_MAX_INTERVAL_S = 7 * 24 * 3600


class IntervalTooSmall(RemoteSipError):
    """The peer wants refreshes more often than we allow; answered with 422 and Min-SE."""

    def __init__(self) -> None:
        super().__init__("Session Interval Too Small", 422)


@dataclass(frozen=True, slots=True)
class SessionAgreement:
    """What both sides settled on."""

    interval_s: int
    we_refresh: bool

    @property
    def refresh_after_s(self) -> float:
        """When the refreshing side sends its refresh: after half the interval (section 7.2)."""
        return self.interval_s / 2

    @property
    def expire_after_s(self) -> float:
        """When the other side hangs up if none came (section 10)."""
        return self.interval_s - min(32.0, self.interval_s / 3)


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """The agreement, and the header lines of our 2xx that say so."""

    agreement: SessionAgreement
    headers: tuple[tuple[str, str], ...]


def answer_session(headers: Headers, *, wanted_s: int, min_se_s: int) -> SessionAnswer:
    """
    Negotiate as the side that answers an INVITE or UPDATE (section 9).

    A peer without timers is refreshed by us: that shows that it is still there.

    Args:
        headers: Of the request.
        wanted_s: Interval that we would like.
        min_se_s: Shortest that we take.

    Raises:
        IntervalTooSmall: If it asks for less.
    """
    asked_s, refresher = read_session_expires(headers)
    peer_min_s = read_min_se(headers)
    supports = "timer" in option_tags(headers, "Supported") | option_tags(headers, "Require")
    if asked_s is None:
        interval_s = max(wanted_s, peer_min_s, min_se_s)
    elif asked_s < min_se_s:
        if supports:
            raise IntervalTooSmall
        interval_s = min_se_s
    else:
        interval_s = min(asked_s, max(wanted_s, peer_min_s, min_se_s))
    peer_refreshes = supports and refresher == "uac"
    value = f"{interval_s};refresher={'uac' if peer_refreshes else 'uas'}"
    lines: tuple[tuple[str, str], ...] = (("Session-Expires", value),)
    if peer_refreshes:
        lines = (*lines, ("Require", "timer"))
    return SessionAnswer(SessionAgreement(interval_s, not peer_refreshes), lines)


def ask_for_session(
    interval_s: int, min_se_s: int, refresher: str | None = None
) -> tuple[tuple[str, str], ...]:
    """Header lines of our INVITE or UPDATE; `refresher` is `"uac"` for us, `"uas"` for them."""
    suffix = f";refresher={refresher}" if refresher else ""
    return (("Session-Expires", f"{interval_s}{suffix}"), ("Min-SE", str(min_se_s)))


def conclude_session(headers: Headers, *, asked_s: int) -> SessionAgreement:
    """
    Read the peer's 2xx to our INVITE or UPDATE (section 7.2).

    Without Session-Expires the peer has no timers, and we refresh alone.
    """
    interval_s, refresher = read_session_expires(headers)
    if interval_s is None:
        return SessionAgreement(asked_s, we_refresh=True)
    # Less than we asked for with Min-SE is against the rules; an interval of a second or two
    # would be a storm of refreshes.
    return SessionAgreement(max(interval_s, min(asked_s, 30)), we_refresh=refresher != "uas")


def read_session_expires(headers: Headers) -> tuple[int | None, str | None]:
    """Interval in seconds and refresher; a malformed header counts as absent."""
    value = headers.get("Session-Expires")
    if value is None:
        return None, None
    seconds, _, rest = value.partition(";")
    try:
        interval_s = parse_number(
            seconds.strip(), "Session-Expires", maximum=_MAX_INTERVAL_S, clamp=True
        )
        refresher = Parameters.parse(rest).get("refresher")
    except RemoteSipError:
        return None, None
    return interval_s, refresher.lower() if refresher else None


def read_min_se(headers: Headers) -> int:
    """Min-SE in seconds, 0 where it is missing or malformed."""
    value = headers.get("Min-SE")
    if value is None:
        return 0
    try:
        return parse_number(
            value.partition(";")[0].strip(), "Min-SE", maximum=_MAX_INTERVAL_S, clamp=True
        )
    except RemoteSipError:
        return 0
