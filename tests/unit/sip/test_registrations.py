"""REGISTER as client: how a registration begins, lives and ends."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sip.peers import FLOW, TCP_FLOW, US, Agent, response_to, statuses
from voiceblocks.errors import ContractViolation, LocalSipError
from voiceblocks.sip.events import RegistrationEnded, RegistrationFailed, RegistrationSucceeded
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.registrations import (
    FIRST_PAUSE_S,
    LONGEST_EXPIRES_S,
    LONGEST_PAUSE_S,
    LONGEST_RETRY_AFTER_S,
    REFUSED_PAUSE_S,
)

SECOND = Flow("udp", US, ("192.0.2.10", 5060))
CHALLENGE = 'Digest realm="r", nonce="{}", qop="auth", algorithm=MD5{}'


def register(agent: Agent, **settings) -> tuple[int, SipRequest]:
    """Begin a registration; gives its id and the first REGISTER."""
    settings = {
        "registrar": "sip:carrier.example",
        "address": "sip:acme@carrier.example",
        "contact_user": "acme",
        "flows": [FLOW],
        "now": agent.now,
        "credentials": ("acme", "secret"),
    } | settings
    handle = agent.ua.registrations.register(**settings)
    (request,) = agent.take()
    return handle, request


def accept(agent: Agent, request: SipRequest, expires: int = 3600, flow: Flow = FLOW) -> None:
    """The registrar grants so many seconds."""
    contact = f"{request.headers.get('Contact')};expires={expires}"
    agent.hear(response_to(request, 200, contact=contact), flow)


def challenge(
    agent: Agent, request: SipRequest, nonce: str, *, stale: bool = False, status: int = 401
) -> list[SipRequest]:
    """The registrar challenges; gives what we answer."""
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    value = CHALLENGE.format(nonce, ", stale=TRUE" if stale else "")
    return agent.hear(response_to(request, status, headers=[(name, value)]))


def nonce_count(request: SipRequest, name: str = "Authorization") -> tuple[str, str]:
    """Nonce and count of an answer to a challenge."""
    value = request.headers.get(name) or ""
    found = re.search(r'nonce="(.*?)".*nc=([0-9a-f]{8})', value)
    assert found is not None, value
    return found[1], found[2]


def test_what_a_register_says() -> None:
    """Our name in To and From, our Contact with the trunk's user, how long, and nothing secret."""
    agent = Agent()
    _, request = register(agent)
    assert (request.method, request.uri) == ("REGISTER", "sip:carrier.example")
    assert request.to.uri == request.from_.uri == "sip:acme@carrier.example"
    assert request.to_tag is None
    assert request.headers.get("Contact") == "<sip:acme@192.0.2.1:5060>"
    assert request.expires == 3600
    assert b"secret" not in request.serialize()


def test_challenged_granted_refreshed_and_removed() -> None:
    """One Call-ID and rising CSeq; the refresh answers the known nonce with the next count."""
    agent = Agent()
    handle, first = register(agent)
    (second,) = challenge(agent, first, "n1")
    assert nonce_count(second) == ("n1", "00000001")
    accept(agent, second)
    assert agent.event() == RegistrationSucceeded(handle, 3600)
    assert agent.wait(3509) == []
    (refresh,) = agent.wait(1.1)
    assert nonce_count(refresh) == ("n1", "00000002")
    accept(agent, refresh)
    agent.events()
    agent.ua.registrations.unregister(handle, agent.now)
    (removal,) = agent.take()
    assert removal.expires == 0
    assert nonce_count(removal) == ("n1", "00000003")
    agent.hear(response_to(removal, 200))
    assert agent.event() == RegistrationEnded(handle)
    requests = (first, second, refresh, removal)
    assert len({(r.call_id, r.from_tag) for r in requests}) == 1
    assert [r.cseq.number for r in requests] == [1, 2, 3, 4]
    assert len({r.top_via.branch for r in requests}) == 4
    agent.assert_nothing_left()


@pytest.mark.parametrize("stale", [True, False])
def test_a_nonce_that_is_used_up_is_replaced(stale: bool) -> None:
    """A refresh refused for its old nonce is sent anew, whether or not the server says stale."""
    agent = Agent()
    _, first = register(agent)
    (second,) = challenge(agent, first, "n1")
    accept(agent, second, 60)
    (refresh,) = agent.wait(30.1)
    (again,) = challenge(agent, refresh, "n2", stale=stale)
    assert nonce_count(again) == ("n2", "00000001")
    accept(agent, again, 60)
    assert all(isinstance(event, RegistrationSucceeded) for event in agent.events())


def test_proxy_and_registrar_both_ask() -> None:
    """A 407 and a 401 are answered together; used up together, they are answered again."""
    agent = Agent()
    _, request = register(agent)
    for nonce in ("1", "2"):
        (request,) = challenge(agent, request, "p" + nonce, status=407)
        (request,) = challenge(agent, request, "r" + nonce)
        assert nonce_count(request)[0] == "r" + nonce
        assert nonce_count(request, "Proxy-Authorization") == ("p" + nonce, "00000002")
        accept(agent, request, 60)
        assert isinstance(agent.event(), RegistrationSucceeded)
        (request,) = agent.wait(30.1)


def test_a_refused_password_is_not_tried_over_and_over() -> None:
    """The second 401 in a row ends the try; the next one comes after a long pause."""
    agent = Agent()
    handle, first = register(agent)
    (second,) = challenge(agent, first, "n1")
    assert challenge(agent, second, "n2") == []
    event = agent.event()
    assert isinstance(event, RegistrationFailed)
    assert (event.id, event.status) == (handle, 401)
    assert REFUSED_PAUSE_S / 2 <= event.retry_in_s <= REFUSED_PAUSE_S
    assert agent.wait(event.retry_in_s - 1) == []
    assert statuses(agent.wait(1.1)) == ["REGISTER"]


def test_a_server_that_always_challenges_is_left() -> None:
    """Stale for ever is a failure after a few requests."""
    agent = Agent()
    _, request = register(agent)
    sent = [request]
    for number in range(20):
        answers = challenge(agent, sent[-1], f"n{number}", stale=True)
        if not answers:
            break
        sent += answers
    assert len(sent) == 5
    assert isinstance(agent.event(), RegistrationFailed)


def test_without_a_password_a_challenge_is_a_refusal() -> None:
    """Nothing is answered."""
    agent = Agent()
    _, request = register(agent, credentials=None)
    assert challenge(agent, request, "n1") == []
    assert isinstance(agent.event(), RegistrationFailed)


def test_interval_too_brief() -> None:
    """A 423 is answered with what the registrar wants, also in later refreshes."""
    agent = Agent()
    handle, request = register(agent, expires_s=60)
    (longer,) = agent.hear(response_to(request, 423, headers=[("Min-Expires", "300")]))
    assert longer.expires == 300
    accept(agent, longer, 300)
    assert agent.event() == RegistrationSucceeded(handle, 300)
    (refresh,) = agent.wait(210.1)
    assert refresh.expires == 300


@pytest.mark.parametrize("least", ["60", "0", "x", str(LONGEST_EXPIRES_S + 1), None])
def test_an_interval_that_makes_no_sense_is_a_failure(least: str | None) -> None:
    """A 423 without Min-Expires, or with one that changes nothing, does not go round in circles."""
    agent = Agent()
    _, request = register(agent, expires_s=60)
    headers = [] if least is None else [("Min-Expires", least)]
    assert agent.hear(response_to(request, 423, headers=headers)) == []
    assert isinstance(agent.event(), RegistrationFailed)


@pytest.mark.parametrize(
    ("contacts", "expires", "granted"),
    [
        (["<sip:acme@192.0.2.1:5060>;expires=120"], None, 120),
        (["<sip:acme@192.0.2.1>;expires=120"], "3600", 120),
        (["<sip:acme@192.0.2.77>;expires=20", "<sip:acme@192.0.2.1>;expires=120"], None, 120),
        (["<sip:acme@203.0.113.9:40000>;expires=90"], None, 90),
        (["<sip:acme@192.0.2.77>;expires=20", "<sip:acme@192.0.2.78>;expires=20"], "70", 70),
        (["<sip:acme@192.0.2.1:5060>"], "240", 240),
        ([], "240", 240),
        ([], None, 3600),
        (['"broken'], "x", 3600),
        (["<sip:acme@192.0.2.1:5060>;expires=99999999999"], None, LONGEST_EXPIRES_S),
    ],
)
def test_how_long_is_granted(contacts: list[str], expires: str | None, granted: int) -> None:
    """Expires of our Contact, of the only one, of the header, or what we asked for."""
    agent = Agent()
    handle, request = register(agent)
    headers = [("Contact", contact) for contact in contacts]
    if expires is not None:
        headers.append(("Expires", expires))
    agent.hear(response_to(request, 200, contact=None, headers=headers))
    assert agent.event() == RegistrationSucceeded(handle, granted)


def test_a_binding_of_no_duration_is_a_failure() -> None:
    """A 200 that grants nothing is not taken for a registration."""
    agent = Agent()
    _, request = register(agent)
    accept(agent, request, 0)
    assert isinstance(agent.event(), RegistrationFailed)


def test_a_silent_server_is_replaced_by_the_next() -> None:
    """Silence and 503 lead to the next address; when all failed there is a pause."""
    agent = Agent()
    handle, _ = register(agent, flows=[FLOW, SECOND])
    sent = agent.wait(33)
    assert agent.log[-1][2] == SECOND
    assert agent.events() == []
    agent.hear(response_to(sent[-1], 503), SECOND)
    event = agent.event()
    assert isinstance(event, RegistrationFailed)
    assert (event.id, event.status) == (handle, 503)
    assert event.retry_in_s <= FIRST_PAUSE_S
    (again,) = agent.wait(event.retry_in_s + 0.1)
    assert agent.log[-1][2] == FLOW
    accept(agent, again)
    assert isinstance(agent.event(), RegistrationSucceeded)


def test_pauses_grow_up_to_a_limit_and_begin_anew_after_a_success() -> None:
    """A registrar that is down is asked less and less often, but never given up."""
    agent = Agent()
    _, request = register(agent)
    pauses = []
    for _ in range(12):
        agent.hear(response_to(request, 500))
        event = agent.event()
        pauses.append(event.retry_in_s)
        (request,) = agent.wait(event.retry_in_s + 0.1)
    assert pauses[0] <= FIRST_PAUSE_S
    assert LONGEST_PAUSE_S / 2 <= pauses[-1] <= LONGEST_PAUSE_S
    accept(agent, request, 60)
    agent.events()
    (request,) = agent.wait(30.1)
    agent.hear(response_to(request, 500))
    assert agent.event().retry_in_s <= FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("value", "least"),
    [("120", 120), ("120 (meeting);duration=60", 120), ("999999", LONGEST_RETRY_AFTER_S), ("x", 0)],
)
def test_retry_after_is_respected(value: str, least: float) -> None:
    """The registrar may ask for a longer pause, but not for days."""
    agent = Agent()
    _, request = register(agent)
    agent.hear(response_to(request, 503, headers=[("Retry-After", value)]))
    retry_in_s = agent.event().retry_in_s
    assert least <= retry_in_s <= max(least, FIRST_PAUSE_S)


def test_rerouting_takes_effect_with_the_next_request() -> None:
    """A server that works is kept while DNS still names it, and left when it does not."""
    agent = Agent()
    handle, request = register(agent)
    accept(agent, request, 60)
    agent.ua.registrations.reroute(handle, [SECOND, FLOW])
    (request,) = agent.wait(30.1)
    assert agent.log[-1][2] == FLOW
    accept(agent, request, 60)
    agent.ua.registrations.reroute(handle, [SECOND])
    agent.wait(30.1)
    assert agent.log[-1][2] == SECOND


def test_a_lost_connection_is_replaced_soon() -> None:
    """The registrar may have reached us by it, so it is told of the next one within seconds."""
    agent = Agent()
    asked = Flow("tcp", US, TCP_FLOW.remote)
    _, request = register(agent, flows=[asked])
    accept(agent, request, flow=TCP_FLOW)
    agent.events()
    agent.ua.flow_closed(asked, agent.now)
    assert "REGISTER" in statuses(agent.wait(FIRST_PAUSE_S))


def test_a_connection_that_cannot_be_opened_is_a_failure() -> None:
    """It gets the pause of a failure, not the quick retry of a lost connection."""
    agent = Agent()
    asked = Flow("tcp", US, TCP_FLOW.remote)
    register(agent, flows=[asked])
    agent.ua.flow_closed(asked, agent.now)
    event = agent.event()
    assert (event.status, agent.wait(event.retry_in_s - 0.1)) == (503, [])


def test_given_up_while_a_register_is_under_way() -> None:
    """The removal follows its answer, since only one may be under way."""
    agent = Agent()
    handle, request = register(agent)
    agent.ua.registrations.unregister(handle, agent.now)
    assert agent.take() == []
    contact = f"{request.headers.get('Contact')};expires=3600"
    (removal,) = agent.hear(response_to(request, 200, contact=contact))
    assert removal.expires == 0
    (answered,) = challenge(agent, removal, "n1")
    assert answered.expires == 0
    agent.hear(response_to(answered, 200))
    assert agent.event() == RegistrationEnded(handle)
    agent.assert_nothing_left()


@pytest.mark.parametrize("status", [403, 503, None])
def test_given_up_before_it_succeeded(status: int | None) -> None:
    """Nothing is removed that was never made, and nothing is tried again."""
    agent = Agent()
    handle, request = register(agent)
    agent.ua.registrations.unregister(handle, agent.now)
    if status is None:
        agent.wait(33)
    else:
        assert agent.hear(response_to(request, status)) == []
    assert agent.event() == RegistrationEnded(handle)
    agent.assert_nothing_left()


def test_given_up_after_a_failed_refresh() -> None:
    """What may still be known at the registrar is removed."""
    agent = Agent()
    handle, request = register(agent)
    accept(agent, request, 60)
    (refresh,) = agent.wait(30.1)
    agent.hear(response_to(refresh, 500))
    agent.events()
    agent.ua.registrations.unregister(handle, agent.now)
    agent.ua.registrations.unregister(handle, agent.now)
    (removal,) = agent.take()
    assert removal.expires == 0
    agent.wait(33)
    assert agent.event() == RegistrationEnded(handle)
    with pytest.raises(LocalSipError):
        agent.ua.registrations.unregister(handle, agent.now)
    agent.assert_nothing_left()


def test_a_line_break_leaves_nothing_behind() -> None:
    """A trunk's settings cannot add header lines."""
    agent = Agent()
    with pytest.raises(ContractViolation):
        register(agent, address="sip:a@b>\r\nEvil: 1")
    assert agent.ua.next_deadline() is None


@given(
    status=st.integers(200, 699),
    lines=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "Contact",
                    "Expires",
                    "Min-Expires",
                    "Retry-After",
                    "WWW-Authenticate",
                    "Proxy-Authenticate",
                ]
            ),
            st.one_of(
                st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=60),
                st.just("Digest realm=a, nonce=b, qop=auth"),
            ),
        ),
        max_size=6,
    ),
)
def test_whatever_a_registrar_says_it_goes_on(status: int, lines: list[tuple[str, str]]) -> None:
    """After any answer another REGISTER is sent in time, and nothing is raised."""
    agent = Agent()
    _, request = register(agent)
    agent.hear(response_to(request, status, contact=None, headers=lines))
    agent.events()
    sent = len(agent.log)
    agent.wait(LONGEST_RETRY_AFTER_S if status >= 300 else LONGEST_EXPIRES_S)
    assert len(agent.log) > sent
