"""Requests of the peer: what each method means inside and outside a dialog.

The order of checks is that of RFC 3261 section 8.2 and 12.2.2: method, extensions, dialog,
sequence, then the method's own business.
"""

from __future__ import annotations

from voiceblocks.sip.bodies import UnsupportedBody
from voiceblocks.sip.dialog import option_tags
from voiceblocks.sip.events import EndCause, InfoReceived, LegEnded
from voiceblocks.sip.incoming_calls import IncomingCalls
from voiceblocks.sip.invite_usage import Leg, LegEvent, LegState
from voiceblocks.sip.renegotiation import Renegotiation
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.session_timer import IntervalTooSmall
from voiceblocks.sip.user_agent_core import UserAgentCore

_KNOWN_METHODS = frozenset({"REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE"})
"Methods that we recognise and do not offer: 405. What nobody has heard of is 501 (21.5.2)."

_FORBIDDEN_METHODS = frozenset({"REFER"})
"403: nobody makes us call somebody (decision 9)."

_SEQUENCE_RETRY_AFTER_S = "1"


class DialogRequests:
    """Judges and distributes the requests that come in."""

    def __init__(
        self, core: UserAgentCore, incoming: IncomingCalls, renegotiation: Renegotiation
    ) -> None:
        self._core = core
        self._incoming = incoming
        self._renegotiation = renegotiation

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """
        Take a new request other than ACK and CANCEL.

        Max-Forwards is no concern of the server that a request is for (16.3 asks proxies).

        Raises:
            RemoteSipError: 400 and the like; nothing was changed.
        """
        config, layer = self._core.config, self._core.layer
        request = transaction.request
        method = request.method
        if method in _FORBIDDEN_METHODS:
            layer.refuse_and_forget(transaction, 403)
            return
        if method not in config.allow:
            allow = (("Allow", ", ".join(config.allow)),)
            status = 405 if method in _KNOWN_METHODS else 501
            layer.refuse_and_forget(transaction, status, headers=allow)
            return
        unknown = option_tags(request.headers, "Require") - frozenset(config.supported)
        if unknown:
            unsupported = (("Unsupported", ", ".join(sorted(unknown))),)
            layer.refuse_and_forget(transaction, 420, headers=unsupported)
            return
        try:
            if request.to_tag is not None:
                self._on_dialog_request(transaction, now)
            elif method == "INVITE":
                self._incoming.on_invite(transaction, now)
            elif method == "OPTIONS":
                self._answer_options(transaction, now)
            else:
                layer.refuse_and_forget(transaction, 481)
        except UnsupportedBody as error:
            lines = (("Accept", ", ".join(config.accept)), ("Accept-Encoding", "identity"))
            layer.refuse_and_forget(transaction, 415, error.reason, lines)
        except IntervalTooSmall:
            min_se = (("Min-SE", str(config.min_se_s)),)
            layer.refuse_and_forget(transaction, 422, headers=min_se)

    def _on_dialog_request(self, transaction: ServerTransaction, now: float) -> None:
        request, layer = transaction.request, self._core.layer
        leg = self._core.leg_of(request)
        if leg is None:
            layer.refuse_and_forget(transaction, 481)
            return
        if not leg.dialog_of(request).accepts_sequence(request.cseq.number):
            lines = (("Retry-After", _SEQUENCE_RETRY_AFTER_S),)
            layer.refuse_and_forget(transaction, 500, "CSeq Out of Order", lines)
            return
        leg.flow = transaction.flow
        match request.method:
            case "BYE":
                self._on_bye(leg, transaction, now)
            case "INVITE":
                self._renegotiation.on_invite(leg, transaction, now)
            case "UPDATE":
                self._renegotiation.on_update(leg, transaction, now)
            case "PRACK":
                self._incoming.on_prack(leg, transaction, now)
            case "INFO":
                self._on_info(leg, transaction, now)
            case _:
                self._answer_options(transaction, now)

    def _on_bye(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        if leg.state in (LegState.CALLING, LegState.PROCEEDING, LegState.CANCELLING):
            # The called side must not end an early dialog so (15); our INVITE is still open.
            self._core.layer.refuse_and_forget(transaction, 481)
            return
        self._core.layer.respond(transaction, 200, now)
        if leg.state is LegState.INCOMING:
            self._incoming.on_early_bye(leg, now)
            return
        ours = leg.state is LegState.ENDING
        cause = EndCause.HUNG_UP if ours else EndCause.PEER_HUNG_UP
        self._core.end(leg, LegEvent.PEER_HUNG_UP, now, LegEnded(leg.handle, cause))

    def _on_info(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        content_type = request.content_type or ""
        self._core.layer.respond(transaction, 200, now)
        self._core.events.append(InfoReceived(leg.handle, content_type, request.body))

    def _answer_options(self, transaction: ServerTransaction, now: float) -> None:
        config = self._core.config
        headers = (
            *self._core.dialog_headers(transaction.flow),
            ("Accept", ", ".join(config.accept)),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en"),
        )
        self._core.layer.respond(transaction, 200, now, headers=headers)
