"""The table of the source lock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.rtp.source_lock import LockState, SourceLock, Verdict

PHONE = ("192.0.2.1", 4000)
OTHER_PORT = ("192.0.2.1", 5000)
STRANGER = ("203.0.113.9", 6000)
OTHER_STRANGER = ("203.0.113.10", 6000)
SSRC, OTHER_SSRC = 1, 2


def locked() -> SourceLock:
    """A lock that has learned PHONE."""
    lock = SourceLock(PHONE)
    assert lock.receive(PHONE, SSRC, 1) is Verdict.LOCKED
    return lock


def silent() -> SourceLock:
    """One whose PHONE fell silent."""
    lock = locked()
    assert lock.on_silence()
    return lock


def doubtful() -> SourceLock:
    """One that a stranger has won although SDP named PHONE."""
    lock = SourceLock(PHONE)
    assert send(lock, STRANGER, SSRC, 3) is Verdict.LOCKED
    assert lock.is_doubtful
    return lock


def neighbour() -> SourceLock:
    """One that a stale stream of the same host has won."""
    lock = SourceLock(PHONE)
    assert send(lock, OTHER_PORT, SSRC, 3) is Verdict.LOCKED
    assert lock.is_doubtful
    return lock


def send(lock: SourceLock, source: tuple[str, int], ssrc: int, count: int) -> Verdict:
    """Packets in sequence; the last verdict."""
    verdict = Verdict.REFUSE
    for sequence in range(100, 100 + count):
        verdict = lock.receive(source, ssrc, sequence & 0xFFFF)
    return verdict


@pytest.mark.parametrize(
    ("made", "source", "ssrc", "count", "verdict", "state"),
    [
        (lambda: SourceLock(PHONE), PHONE, SSRC, 1, Verdict.LOCKED, LockState.LOCKED),
        (lambda: SourceLock(PHONE), OTHER_PORT, SSRC, 2, Verdict.REFUSE, LockState.LEARN),
        (lambda: SourceLock(PHONE), OTHER_PORT, SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (lambda: SourceLock(PHONE), STRANGER, SSRC, 2, Verdict.REFUSE, LockState.LEARN),
        (lambda: SourceLock(PHONE), STRANGER, SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (SourceLock, STRANGER, SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (locked, PHONE, OTHER_SSRC, 1, Verdict.TAKE, LockState.LOCKED),
        (locked, OTHER_PORT, SSRC, 50, Verdict.REFUSE, LockState.LOCKED),
        (locked, STRANGER, SSRC, 50, Verdict.REFUSE, LockState.LOCKED),
        (doubtful, PHONE, OTHER_SSRC, 2, Verdict.REFUSE, LockState.LOCKED),
        (doubtful, PHONE, OTHER_SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (doubtful, OTHER_PORT, OTHER_SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (doubtful, OTHER_STRANGER, SSRC, 50, Verdict.REFUSE, LockState.LOCKED),
        (neighbour, PHONE, OTHER_SSRC, 2, Verdict.REFUSE, LockState.LOCKED),
        (neighbour, PHONE, OTHER_SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (neighbour, STRANGER, SSRC, 50, Verdict.REFUSE, LockState.LOCKED),
        (silent, PHONE, SSRC, 1, Verdict.LOCKED, LockState.LOCKED),
        (silent, OTHER_PORT, SSRC, 2, Verdict.REFUSE, LockState.SILENT),
        (silent, OTHER_PORT, SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (silent, STRANGER, SSRC, 3, Verdict.LOCKED, LockState.LOCKED),
        (silent, STRANGER, OTHER_SSRC, 50, Verdict.REFUSE, LockState.SILENT),
        (silent, OTHER_PORT, OTHER_SSRC, 50, Verdict.REFUSE, LockState.SILENT),
    ],
)
def test_every_cell(made, source, ssrc, count, verdict, state):
    """State, source and number of packets decide."""
    lock = made()
    assert send(lock, source, ssrc, count) is verdict
    assert lock.state is state
    assert (lock.source == source) == (verdict is not Verdict.REFUSE)


def test_a_faster_stranger_cannot_drown_the_one_whom_sdp_named():
    """However often he sends in between, three packets in sequence of the right host count."""
    lock = doubtful()
    for sequence in range(3):
        for extra in range(20):
            lock.receive(STRANGER, SSRC, 200 + extra)
            lock.receive(OTHER_STRANGER, SSRC, 300 + extra)
        verdict = lock.receive(PHONE, OTHER_SSRC, sequence)
    assert verdict is Verdict.LOCKED
    assert (lock.target, lock.is_doubtful) == (PHONE, False)
    assert send(lock, STRANGER, SSRC, 50) is Verdict.REFUSE


def test_packets_out_of_sequence_teach_nothing():
    """Three packets of a stranger lock only when they follow one another."""
    lock = SourceLock(PHONE)
    for sequence in (1, 5, 9, 13):
        assert lock.receive(STRANGER, SSRC, sequence) is Verdict.REFUSE
    assert lock.refused == 4


def test_an_update_that_moves_the_peer_learns_again():
    """The new address is the target at once; the same address keeps the learned source."""
    lock = SourceLock(("10.0.0.1", 4000))
    send(lock, STRANGER, SSRC, 3)
    lock.update(("10.0.0.1", 4000))
    assert (lock.state, lock.target) == (LockState.SILENT, STRANGER)
    lock.update(PHONE)
    assert (lock.state, lock.target) == (LockState.LEARN, PHONE)


def test_silence_opens_a_locked_one_only():
    """Nothing to open in the other states."""
    assert not SourceLock().on_silence()
    assert not silent().on_silence()
    assert SourceLock().target is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OTHER_PORT, STRANGER]), st.sampled_from([1, 2]), st.integers(0, 3)
        ),
        max_size=60,
    )
)
def test_nobody_steals_a_locked_stream(packets: list[tuple[tuple[str, int], int, int]]):
    """Whatever others send while the locked source lives."""
    lock = locked()
    for source, ssrc, sequence in packets:
        assert lock.receive(source, ssrc, sequence) is Verdict.REFUSE
    again = SourceLock.restore(lock.dump())
    assert (again.state, again.source, again.signalled) == (LockState.LOCKED, PHONE, PHONE)
    assert again.receive(PHONE, SSRC, 7) is Verdict.TAKE
