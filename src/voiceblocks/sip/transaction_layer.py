"""Matches messages to transactions, and owns what is to be sent.

Between the parser below and the user agent above (RFC 3261 section 17 and 18.1.2, 18.2):
requests get their source noted in Via, retransmissions, ACKs of refusals and responses
find their transaction, and only news goes up. Whatever cannot be read ends here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.client_transaction import ClientTransaction, Failure
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import (
    SipRequest,
    SipResponse,
    build_response,
    parse_message,
    salvage_request,
    validate_request,
)
from voiceblocks.sip.routing import Routing, response_flow
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.timers import TimerQueue
from voiceblocks.sip.transaction import (
    TransactionKey,
    TransactionState,
    client_key,
    merge_key,
    server_key,
)

MAX_PER_DIALOG = 200
"""Transactions of one dialog that are remembered at a time, each for 32 s: six requests a second
that go on and on. Fast typing by INFO stays far below."""


class TransactionUser(Protocol):
    """The layer above; called while a message is taken in."""

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A new request other than ACK and CANCEL. Must be answered, now or later."""
        ...

    def on_cancel(self, invite: ServerTransaction, now: float) -> None:
        """A CANCEL came for an INVITE that has no final response yet; it was answered."""
        ...

    def on_ack(self, request: SipRequest, flow: Flow, now: float) -> None:
        """An ACK that is not that of a refusal."""
        ...

    def on_stray_response(self, response: SipResponse, flow: Flow, now: float) -> None:
        """A response to no transaction of ours, such as a 2xx repeated very late."""
        ...

    def admits(self, request: SipRequest, flow: Flow, now: float) -> bool:
        """Whether a request that belongs to no transaction is looked at, or dropped in silence."""
        ...

    def is_stranger(self, flow: Flow) -> bool:
        """Whether whatever cannot be read from there is dropped in silence."""
        ...


class TransactionLayer:
    """
    All transactions of one user agent.

    Args:
        random_text: Gives so many unguessable token characters.
        max_per_source: New server transactions of one address beyond this are refused with 503
            without being remembered, so that a flood cannot fill the memory. Inside a dialog
            `MAX_PER_DIALOG` holds instead; a BYE is always taken.
    """

    def __init__(
        self,
        user: TransactionUser,
        timers: TimerQueue,
        random_text: Callable[[int], str],
        *,
        response_routing: Routing,
        max_per_source: int,
        server_headers: Sequence[tuple[str, str]],
    ) -> None:
        self._user = user
        self._timers = timers
        self._random_text = random_text
        self._response_routing = response_routing
        self._max_per_source = max_per_source
        self._server_headers = tuple(server_headers)
        self._tag_secret = random_text(24).encode()
        self._outbox: list[tuple[bytes, Flow]] = []
        self._servers: dict[TransactionKey, ServerTransaction] = {}
        self._merge_index: dict[TransactionKey, ServerTransaction] = {}
        self._servers_by_source: Counter[str] = Counter()
        self._servers_by_dialog: Counter[str] = Counter()
        self._clients: dict[TransactionKey, ClientTransaction] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    @property
    def awaits_responses(self) -> bool:
        """Whether a final response to a request of ours is still to come."""
        return any(client.is_waiting for client in self._clients.values())

    def messages_to_send(self) -> list[tuple[bytes, Flow]]:
        """Take everything that waits to be sent."""
        messages, self._outbox = self._outbox, []
        return messages

    def send(self, data: bytes, flow: Flow) -> None:
        """Queue a message that belongs to no transaction (a 2xx of INVITE, or its ACK)."""
        self._outbox.append((data, flow))

    def start_client(
        self,
        request: SipRequest,
        flow: Flow,
        now: float,
        *,
        on_response: Callable[[SipResponse, float], None],
        on_failure: Callable[[Failure, float], None],
        is_resumed: bool = False,
    ) -> ClientTransaction:
        """Send a request other than ACK, if no earlier process did, and wait for its responses."""
        transaction = ClientTransaction(
            request,
            flow,
            self._timers,
            self.send,
            on_response,
            on_failure,
            self._forget_client,
            now,
            is_resumed=is_resumed,
        )
        self._clients[transaction.key] = transaction
        return transaction

    def resume_server(
        self, invite: SipRequest, flow: Flow, to_tag: str
    ) -> ServerTransaction | None:
        """
        Take over an INVITE that an earlier process had not answered finally.

        Args:
            invite: With the source in its Via already, as it was stored.
            flow: Where the response goes.
            to_tag: Our tag in the provisional responses.

        Returns:
            `None` where the same INVITE came again since, and is a new call.
        """
        key = server_key(invite)
        if key in self._servers:
            return None
        transaction = self._start_server(invite, flow, key)
        transaction.to_tag = to_tag
        self._merge_index.setdefault(merge_key(invite), transaction)
        return transaction

    def receive_message(self, data: bytes, flow: Flow, now: float) -> None:
        """Take one message in. Never raises for what the peer sent."""
        try:
            message = parse_message(data)
        except RemoteSipError as error:
            self._refuse_unreadable(data, flow, error)
            return
        if isinstance(message, SipResponse):
            self._receive_response(message, flow, now)
        else:
            self._receive_request(message, flow, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """Fail every transaction on a flow that is gone."""
        for server in [each for each in self._servers.values() if each.flow == flow]:
            server.receive_transport_error(now)
        for client in [each for each in self._clients.values() if each.flow == flow]:
            client.receive_transport_error(now)

    # Requests

    def _refuse_unreadable(self, data: bytes, flow: Flow, error: RemoteSipError) -> None:
        request = None if self._user.is_stranger(flow) else salvage_request(data)
        if request is None:
            return
        answer_flow = self._note_source(request, flow)
        if answer_flow is not None:
            self.refuse_stateless(request, answer_flow, error.status_hint, error.reason)

    def _note_source(self, request: SipRequest, flow: Flow) -> Flow | None:
        """Complete the top Via; give the flow of the responses, `None` where Via is unreadable."""
        try:
            request.stamp_source(*flow.remote)
            return response_flow(request, flow, self._response_routing)
        except RemoteSipError:
            return None

    def _receive_request(self, request: SipRequest, flow: Flow, now: float) -> None:
        answer_flow = self._note_source(request, flow)
        if answer_flow is None:
            return
        try:
            validate_request(request)
            self._dispatch_request(request, flow, answer_flow, now)
        except RemoteSipError as error:
            if not self._user.is_stranger(flow):
                self.refuse_stateless(request, answer_flow, error.status_hint, error.reason)

    def _dispatch_request(
        self, request: SipRequest, flow: Flow, answer_flow: Flow, now: float
    ) -> None:
        key = server_key(request)
        known = self._servers.get(key)
        if request.method == "ACK":
            if known is not None:
                known.receive_ack(now)
            if known is None or known.state is TransactionState.ACCEPTED:
                self._user.on_ack(request, flow, now)
            return
        if known is not None:
            known.receive_again(now)
            return
        if not self._user.admits(request, flow, now):
            return
        if request.method == "CANCEL":
            self._receive_cancel(request, key, answer_flow, now)
            return
        if self._is_too_much(request, flow):
            self.refuse_stateless(
                request, answer_flow, 503, "Too Many Transactions", (("Retry-After", "5"),)
            )
            return
        transaction = self._start_server(request, answer_flow, key)
        if request.to_tag is None:
            first = self._merge_index.setdefault(merge_key(request), transaction)
            if first is not transaction:
                self.respond(transaction, 482, now)
                return
        try:
            self._user.on_request(transaction, now)
        except RemoteSipError as error:
            if transaction.is_answered:
                return
            self.refuse_and_forget(transaction, error.status_hint, error.reason)

    def _is_too_much(self, request: SipRequest, flow: Flow) -> bool:
        if request.to_tag is None:
            return self._servers_by_source[flow.remote[0]] >= self._max_per_source
        is_over = self._servers_by_dialog[request.call_id] >= MAX_PER_DIALOG
        return is_over and request.method != "BYE"

    def _receive_cancel(
        self, request: SipRequest, key: TransactionKey, flow: Flow, now: float
    ) -> None:
        invite = self._servers.get(server_key(request, "INVITE"))
        if invite is None:
            self.refuse_stateless(request, flow, 481)
            return
        transaction = self._start_server(request, flow, key)
        # One tag in both responses (RFC 3261 9.2).
        transaction.to_tag = invite.to_tag
        self.respond(transaction, 200, now)
        if not invite.is_answered:
            self._user.on_cancel(invite, now)

    def _start_server(
        self, request: SipRequest, flow: Flow, key: TransactionKey
    ) -> ServerTransaction:
        transaction = ServerTransaction(
            request, flow, key, self._timers, self.send, self._forget_server
        )
        self._servers[key] = transaction
        self._servers_by_source[flow.remote[0]] += 1
        if request.to_tag is not None:
            self._servers_by_dialog[request.call_id] += 1
        return transaction

    def _forget_server(self, transaction: ServerTransaction) -> None:
        if self._servers.pop(transaction.key, None) is None:
            return
        merge = merge_key(transaction.request)
        if self._merge_index.get(merge) is transaction:
            del self._merge_index[merge]
        _count_down(self._servers_by_source, transaction.flow.remote[0])
        if transaction.request.to_tag is not None:
            _count_down(self._servers_by_dialog, transaction.request.call_id)

    # Responses that we send

    def build_response(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> SipResponse:
        """Build a response with our tag (none in a 100) and our own header lines."""
        request = transaction.request
        tag = None
        if status != 100 and request.to_tag is None:
            if transaction.to_tag is None:
                transaction.to_tag = self.stateless_tag(request)
            tag = transaction.to_tag
        extra = (*self._server_headers, *headers)
        response = build_response(request, status, reason, to_tag=tag, extra=extra)
        response.body = body
        return response

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Build and send a response without body."""
        transaction.respond(self.build_response(transaction, status, reason, headers), now)

    def refuse_stateless(
        self,
        request: SipRequest,
        flow: Flow,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """
        Answer without remembering anything (RFC 3261 8.2.7); silence for an ACK.

        A repeated request gets the same answer with the same tag, since the tag is computed.
        """
        if request.method == "ACK":
            return
        extra = (*self._server_headers, *headers)
        tag = self.stateless_tag(request)
        response = build_response(request, status, reason, to_tag=tag, extra=extra)
        self.send(response.serialize(), flow)

    def refuse_and_forget(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """
        Refuse a request in a way that a repeat of it would be refused again.

        Nothing is kept for it: no flood of nonsense fills the memory, and a forged INVITE
        draws one response instead of eleven.
        """
        self._forget_server(transaction)
        self.refuse_stateless(transaction.request, transaction.flow, status, reason, headers)

    def stateless_tag(self, request: SipRequest) -> str:
        """A tag that is the same for each copy of a request, and cannot be guessed."""
        text = "\n".join((request.headers.get("Via") or "", request.headers.get("Call-ID") or ""))
        digest = hashlib.blake2s(text.encode("utf-8", "replace"), key=self._tag_secret)
        return digest.hexdigest()[:16]

    # Responses that we receive

    def _receive_response(self, response: SipResponse, flow: Flow, now: float) -> None:
        try:
            key = client_key(response)
            if response.is_success and response.cseq.method == "INVITE" and not response.to_tag:
                # Failures without a tag are tolerated; a dialog cannot do without.
                return
            transaction = self._clients.get(key)
            if transaction is not None:
                if flow.is_reliable:
                    # The connection that the shell opened for us has a number now.
                    transaction.flow = flow
                transaction.receive_response(response, now)
            else:
                self._user.on_stray_response(response, flow, now)
        except RemoteSipError:
            # A broken response is as good as lost (RFC 3261 18.1.2, RFC 4475 3.1.2).
            return

    def _forget_client(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)


def _count_down(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
