"""How many requests each host may have at a time, and when a failing one is asked again.

A host that fails many times in a row is in trouble: its circuit opens. Then what is sent
to it costs the others nothing: a handful of requests for calls that live, and for all that
waits one probe at a time, after growing pauses. The first answer closes the circuit.

Held in memory: after a restart everything is tried, and a dead host is known again soon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_SECOND_US = 1_000_000

FAILURES_TO_OPEN = 10
"Failures in a row, none of them an answer."
PROBE_PAUSE_S = 1.0
"Until the first probe; doubles with each that fails."
PROBE_PAUSE_MAX_S = 60.0
JITTER = 0.2
_URGENT_SHARE = 32
"Of a host's requests, so many parts: one of them is what a host in trouble keeps for living calls."


@dataclass(slots=True)
class _Host:
    urgent: int = 0
    late: int = 0
    failures: int = 0
    probe_us: int | None = None
    "When the next probe may leave; `None` while the circuit is closed."
    pause_s: float = PROBE_PAUSE_S


class HostHealth:
    """
    Counts what is in flight and what failed.

    Changed on one thread; another may ask for `room` meanwhile.

    Args:
        per_host: Requests at the same time to one host at most.
        in_all: Requests at the same time to all hosts at most; those in trouble may have
            half of them together.
        chance: Randomness in [0, 1).
    """

    def __init__(self, per_host: int, in_all: int, chance: Callable[[], float]) -> None:
        self._per_host = per_host
        self._troubled_limit = max(1, in_all // 2)
        self._chance = chance
        self._hosts: dict[str, _Host] = {}

    def room(self, name: str, *, urgent: bool, now_us: int, leaving: int = 0) -> int:
        """
        How many more requests may leave for this host now.

        Args:
            name: The host's.
            urgent: For calls that live, or for what waits.
            now_us: The present.
            leaving: Requests that are about to leave for hosts in trouble.
        """
        host = self._hosts.get(name)
        if host is None:
            host = _Host()
        busy = host.urgent + host.late
        if host.probe_us is None:
            # What waits leaves a quarter for calls that live.
            most = self._per_host - busy
            late_most = max(1, self._per_host * 3 // 4) - host.late
            return max(0, most if urgent else min(most, late_most))
        if self._troubled() + leaving >= self._troubled_limit:
            return 0
        if urgent:
            return max(0, max(1, self._per_host // _URGENT_SHARE) - host.urgent)
        return 1 if host.late == 0 and host.probe_us <= now_us else 0

    def next_us(self, name: str, due_us: int, *, urgent: bool) -> int:
        """When something that is due at `due_us` may leave, as far as time decides it."""
        host = self._hosts.get(name)
        if urgent or host is None or host.probe_us is None:
            return due_us
        return max(due_us, host.probe_us)

    def departed(self, name: str, *, urgent: bool) -> None:
        """A request leaves; `returned` follows, whatever becomes of it."""
        host = self._hosts.setdefault(name, _Host())
        if urgent:
            host.urgent += 1
        else:
            host.late += 1

    def returned(self, name: str, *, urgent: bool) -> None:
        """A request is over."""
        host = self._hosts[name]
        if urgent:
            host.urgent -= 1
        else:
            host.late -= 1
        self._forget_if_idle(name, host)

    def answered(self, name: str) -> bool:
        """The host works; returns whether it had been in trouble until now."""
        host = self._hosts.get(name)
        if host is None:
            return False
        was_open = host.probe_us is not None
        host.failures, host.probe_us, host.pause_s = 0, None, PROBE_PAUSE_S
        self._forget_if_idle(name, host)
        return was_open

    def failed(self, name: str, now_us: int) -> None:
        """No connection, no answer in time, or one that says that it cannot work now."""
        host = self._hosts.setdefault(name, _Host())
        host.failures += 1
        if host.failures < FAILURES_TO_OPEN:
            return
        # Of many that fail together, the first sets the time of the probe.
        if host.probe_us is None or host.probe_us <= now_us:
            pause_s = host.pause_s * (1 + JITTER * self._chance())
            host.probe_us = now_us + int(pause_s * _SECOND_US)
            host.pause_s = min(host.pause_s * 2, PROBE_PAUSE_MAX_S)

    def in_trouble(self, name: str) -> bool:
        """Whether the host's circuit is open."""
        host = self._hosts.get(name)
        return host is not None and host.probe_us is not None

    def _troubled(self) -> int:
        return sum(h.urgent + h.late for h in list(self._hosts.values()) if h.probe_us is not None)

    def _forget_if_idle(self, name: str, host: _Host) -> None:
        if not (host.urgent or host.late or host.failures or host.probe_us is not None):
            del self._hosts[name]
