"""Keeps the session timers of the legs running (RFC 4028 sections 7.2, 10).

The side that refreshes sends an UPDATE, or a re-INVITE with the unchanged session where the
peer knows no UPDATE; the other side hangs up when no refresh comes.
"""

from __future__ import annotations

from collections.abc import Callable

from voiceblocks.sip.events import EndCause
from voiceblocks.sip.invite_usage import Leg, LegState
from voiceblocks.sip.message import SipResponse
from voiceblocks.sip.session_timer import (
    SessionAgreement,
    ask_for_session,
    conclude_session,
    read_min_se,
)
from voiceblocks.sip.user_agent_core import DIALOG_IS_GONE, UserAgentCore

_BUSY_RETRY_S = 5.0
"Another exchange is under way: the refresh waits, of at least 45 s there is enough left."


class SessionKeeper:
    """
    Refreshes sessions and ends those that nobody refreshes.

    Args:
        reinvite: Sends a re-INVITE with the unchanged session as a refresh.
    """

    def __init__(self, core: UserAgentCore, reinvite: Callable[[Leg, float], None]) -> None:
        self._core = core
        self._reinvite = reinvite

    def start(self, leg: Leg, agreement: SessionAgreement, now: float) -> None:
        """The session was set up or refreshed: count from now."""
        leg.session = agreement
        self._cancel(leg)
        if agreement.we_refresh:
            self._schedule(leg, now + agreement.refresh_after_s, self._refresh)
        else:
            self._schedule(leg, now + agreement.expire_after_s, self._expire)

    def request_headers(self, leg: Leg) -> tuple[tuple[str, str], ...]:
        """What our re-INVITE or UPDATE asks for."""
        session = self._session(leg)
        min_se_s = max(self._core.config.min_se_s, leg.session_min_se_s)
        interval_s = max(session.interval_s, min_se_s)
        return ask_for_session(interval_s, min_se_s, "uac" if session.we_refresh else "uas")

    def _session(self, leg: Leg) -> SessionAgreement:
        return leg.session or SessionAgreement(self._core.config.session_expires_s, True)

    def note_success(self, leg: Leg, response: SipResponse, now: float) -> None:
        """The peer accepted a re-INVITE or UPDATE of ours."""
        asked_s = max(self._session(leg).interval_s, leg.session_min_se_s)
        self.start(leg, conclude_session(response.headers, asked_s=asked_s), now)

    def learn_min_se(self, leg: Leg, response: SipResponse) -> bool:
        """Note the Min-SE of a 422; `False` when it teaches nothing new."""
        min_se_s = read_min_se(response.headers)
        if min_se_s <= leg.session_min_se_s:
            return False
        leg.session_min_se_s = min_se_s
        return True

    def _schedule(self, leg: Leg, at: float, action: Callable[[Leg, float], None]) -> None:
        def fire(now: float) -> None:
            action(leg, now)

        leg.timers["session"] = self._core.timers.schedule(at, fire)

    def _cancel(self, leg: Leg) -> None:
        timer = leg.timers.pop("session", None)
        if timer is not None:
            timer.cancel()

    def _expire(self, leg: Leg, now: float) -> None:
        self._core.lose(leg, EndCause.SESSION_EXPIRED, now, bye=True)

    def _refresh(self, leg: Leg, now: float) -> None:
        busy = leg.our_offer or leg.peer_offer is not None or leg.accepted is not None
        if busy or leg.state is not LegState.CONFIRMED:
            self._schedule(leg, now + _BUSY_RETRY_S, self._refresh)
        elif "UPDATE" in leg.require_dialog().peer_allows or leg.local_sdp is None:
            self._send_update(leg, now)
        else:
            self._cancel(leg)
            self._reinvite(leg, now)

    def _send_update(self, leg: Leg, now: float) -> None:
        dialog = leg.require_dialog()

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            if leg.state is not LegState.CONFIRMED:
                return
            if response is None or status in DIALOG_IS_GONE:
                self._core.lose(leg, EndCause.PEER_GONE, now, bye=status != 481)
            elif 200 <= status < 300:
                dialog.refresh_target(response)
                self.note_success(leg, response, now)
            elif status in (405, 501):
                dialog.peer_allows -= {"UPDATE"}
                self._refresh(leg, now)
            elif status == 422 and self.learn_min_se(leg, response):
                self._send_update(leg, now)
            elif status in (491, 500):
                self._schedule(leg, now + _BUSY_RETRY_S, self._refresh)
            else:
                self.keep_going(leg, now)

        headers = (*self._core.dialog_headers(leg.flow), *self.request_headers(leg))
        self._cancel(leg)
        self._core.send_in_dialog(leg, dialog, "UPDATE", now, on_final=on_final, headers=headers)

    def refresh_at(self, leg: Leg, at: float) -> None:
        """Try the refresh again then."""
        self._schedule(leg, at, self._refresh)

    def keep_going(self, leg: Leg, now: float) -> None:
        """
        The peer refused the refresh itself, but it answered: it is there.

        RFC 4028 section 10 would let the session expire; a peer that runs timers does so by
        itself, and one that has none should not lose its call over them.
        """
        self.start(leg, self._session(leg), now)
