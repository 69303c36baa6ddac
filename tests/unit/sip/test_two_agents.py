"""Two user agents against each other over a network that loses, doubles and reorders."""

from __future__ import annotations

import contextlib
import heapq
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.sip.peers import OUR_SDP, SDP, THEM, US, Agent
from voiceblocks.errors import LocalSipError
from voiceblocks.sip.events import (
    Answered,
    CallFailed,
    InviteReceived,
    LegCancelled,
    LegConfirmed,
    LegEnded,
    OfferReceived,
    StrayAnswer,
)
from voiceblocks.sip.flow import Flow

LAST = (LegEnded, LegCancelled, CallFailed)


class Network:
    """Carries messages between two agents in virtual time."""

    def __init__(
        self, seed: int = 0, *, loss: float = 0, doubled: float = 0, spread_s: float = 0.0
    ) -> None:
        self.random = random.Random(seed)
        self.loss, self.doubled, self.spread_s = loss, doubled, spread_s
        self.now = 1000.0
        self.agents = {US: Agent(US, seed=seed + 1), THEM: Agent(THEM, seed=seed + 2)}
        self.us, self.them = self.agents.values()
        self.in_flight: list[tuple[float, int, bytes, tuple[str, int], tuple[str, int]]] = []
        self.plans: list[tuple[float, int, object]] = []
        self.serial = 0
        self.seen = {US: [], THEM: []}
        self.refused = {US: set(), THEM: set()}
        self.flow_to_them = Flow("udp", US, THEM)

    def at(self, delay_s: float, action) -> None:
        """Plan a command; one that its leg does not allow (any more) is skipped."""
        self.serial += 1
        heapq.heappush(self.plans, (self.now + delay_s, self.serial, action))

    def collect(self) -> None:
        """Put what the agents say onto the wire, and react to their events."""
        for address, agent in self.agents.items():
            agent.now = self.now
            while (event := agent.ua.next_event()) is not None:
                self.seen[address].append(event)
                self.react(agent, event)
            for data, flow in agent.ua.messages_to_send():
                copies = 2 if self.random.random() < self.doubled else 1
                for _ in range(copies):
                    if self.random.random() < self.loss:
                        continue
                    self.serial += 1
                    at = self.now + 0.01 + self.random.random() * self.spread_s
                    heapq.heappush(self.in_flight, (at, self.serial, data, address, flow.remote))

    def react(self, agent: Agent, event: object) -> None:
        """What every owner does."""
        if isinstance(event, OfferReceived):
            agent.ua.answer_offer(event.leg, OUR_SDP, self.now)
        elif isinstance(event, StrayAnswer):
            agent.ua.former.refuse_answer(event, self.now)

    def run(self, until: float) -> None:
        """Let everything happen in order of time."""
        self.collect()
        for _ in range(200_000):
            times = [self.in_flight[0][0]] if self.in_flight else []
            times += [self.plans[0][0]] if self.plans else []
            deadlines = [agent.ua.next_deadline() for agent in self.agents.values()]
            times += [deadline for deadline in deadlines if deadline is not None]
            if not times or min(times) > until:
                return
            self.now = max(self.now, min(times))
            while self.plans and self.plans[0][0] <= self.now:
                _, _, action = heapq.heappop(self.plans)
                with contextlib.suppress(LocalSipError):
                    action()
                self.collect()
            while self.in_flight and self.in_flight[0][0] <= self.now:
                _, _, data, source, target = heapq.heappop(self.in_flight)
                if target in self.agents:
                    self.agents[target].ua.receive_message(
                        data, Flow("udp", target, source), self.now
                    )
                self.collect()
            for agent in self.agents.values():
                agent.ua.handle_deadline(self.now)
            self.collect()
        raise AssertionError("the agents talk for ever")

    def call(self, **more) -> int:
        """Our agent calls the other."""
        return self.us.ua.call(
            target=f"sip:b@{THEM[0]}:{THEM[1]}",
            from_="sip:a@x",
            to="sip:b@y",
            flow=self.flow_to_them,
            sdp=OUR_SDP,
            now=self.now,
            **more,
        )

    def assert_over(self) -> None:
        """Each leg has had exactly one last event, and nothing is left anywhere."""
        for address, agent in self.agents.items():
            ended = [event.leg for event in self.seen[address] if isinstance(event, LAST)]
            assert len(ended) == len(set(ended))
            # A late answer to a call that nobody remembers is of no leg.
            begun = {e.leg for e in self.seen[address] if not isinstance(e, StrayAnswer)}
            assert begun == set(ended) | (begun & self.refused[address])
            assert agent.ua.leg_count == 0
            assert agent.ua.transaction_count == 0
            assert agent.ua.next_deadline() is None
            assert not agent.ua._core.dialogs


class Owner(Network):
    """Answers each call after a while."""

    answer_after_s = 1.0
    ring = True

    def react(self, agent: Agent, event: object) -> None:
        """Ring, answer, confirm offers."""
        super().react(agent, event)
        if isinstance(event, InviteReceived):
            if self.ring:
                agent.ua.ring(event.leg, self.now)
            self.at(self.answer_after_s, lambda: agent.ua.answer(event.leg, SDP, self.now))


def test_clean_call() -> None:
    """Without loss each side sees exactly what it should."""
    net = Owner()
    leg = net.call()
    net.at(5, lambda: net.us.ua.hang_up(leg, net.now))
    net.run(2000)
    assert [type(event) for event in net.seen[US]][-2:] == [Answered, LegEnded]
    assert [type(event) for event in net.seen[THEM]] == [InviteReceived, LegConfirmed, LegEnded]
    net.assert_over()


def test_session_timers_keep_a_long_call() -> None:
    """Three hours: refreshes run in one direction, and the call is still there."""
    net = Owner()
    leg = net.call()
    net.at(3 * 3600, lambda: net.us.ua.hang_up(leg, net.now))
    net.run(1000 + 3 * 3600 - 10)
    assert (net.us.ua.leg_count, net.them.ua.leg_count) == (1, 1)
    net.run(1e6)
    net.assert_over()


def test_peer_that_dies_is_noticed_by_the_session_timer() -> None:
    """The network breaks for ever: both sides end by themselves."""
    net = Owner()
    net.call()

    def cut() -> None:
        net.loss = 1.0

    net.at(10, cut)
    net.run(1e6)
    net.assert_over()


@pytest.mark.parametrize("seed", range(40))
def test_ten_percent_loss_loses_no_call(seed: int) -> None:
    """A call set up, refreshed and hung up through 10 % loss: answered on both sides."""
    net = Owner(seed, loss=0.1, spread_s=0.05)
    leg = net.call()
    net.at(60, lambda: net.us.ua.hang_up(leg, net.now))
    net.run(1e6)
    assert any(isinstance(event, Answered) for event in net.seen[US])
    assert any(isinstance(event, LegConfirmed) for event in net.seen[THEM])
    net.assert_over()


COMMANDS = ("hang_up", "answer", "ring", "refuse", "reoffer", "probe", "info", "media", "cut")


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    loss=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    doubled=st.sampled_from([0.0, 0.2]),
    spread_s=st.sampled_from([0.0, 0.3, 2.0]),
    required=st.booleans(),
    script=st.lists(
        st.tuples(
            st.floats(0, 40).map(lambda value: round(value, 1)),
            st.sampled_from([US, THEM]),
            st.sampled_from(COMMANDS),
        ),
        max_size=10,
    ),
)
@example(
    seed=0,
    loss=0.3,
    doubled=0.0,
    spread_s=0.0,
    required=False,
    script=[(0.0, US, "cut"), (0.0, US, "cut"), (31.0, THEM, "answer")],
)
def test_any_interleaving_ends_without_a_trace(
    seed: int,
    loss: float,
    doubled: float,
    spread_s: float,
    required: bool,
    script: list[tuple[float, tuple[str, int], str]],
) -> None:
    """Whatever both sides do and the network loses: both legs end, and nothing stays."""
    net = Network(seed, loss=loss, doubled=doubled, spread_s=spread_s)
    net.call(headers=(("Require", "100rel"),) if required else ())
    for delay_s, address, command in script:
        agent = net.agents[address]

        def act(agent: Agent = agent, command: str = command) -> None:
            for leg in list(agent.ua._core.legs):
                perform(net, agent, leg, command)

        net.at(delay_s, act)

    def finish() -> None:
        for agent in net.agents.values():
            for leg in list(agent.ua._core.legs):
                agent.ua.hang_up(leg, net.now)

    net.at(100, finish)
    net.run(1e6)
    # A side whose peer never learnt of the end: its owner hangs up in the end.
    finish()
    net.run(2e6)
    net.assert_over()


def perform(net: Network, agent: Agent, leg: int, command: str) -> None:
    """One command on one leg."""
    ua, now = agent.ua, net.now
    match command:
        case "hang_up":
            ua.hang_up(leg, now)
        case "answer":
            ua.answer(leg, SDP, now)
        case "ring":
            ua.ring(leg, now)
        case "media":
            ua.ring(leg, now, sdp=SDP)
        case "refuse":
            ua.refuse(leg, 486, now)
            net.refused[US if agent is net.us else THEM].add(leg)
        case "reoffer":
            ua.reoffer(leg, OUR_SDP + b"a=sendonly\r\n", now)
        case "probe":
            ua.probe(leg, now)
        case "info":
            ua.send_info(leg, "text/plain", b"x", now)
        case "cut":
            net.loss = min(0.9, net.loss + 0.3)
