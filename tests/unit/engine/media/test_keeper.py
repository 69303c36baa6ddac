"""Rows become spools, while they grow and when they end."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from tests.unit.engine.media.harness import Bench, ramp
from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.keeper import Keeper
from voiceblocks.engine.media.ring import SETTLED_SLOTS, RowState
from voiceblocks.engine.media.salvage import salvage, spool_path
from voiceblocks.errors import StoreError
from voiceblocks.recordings.spool import SpoolWriter, open_spool


def test_only_settled_slots_are_appended_while_a_tap_is_open(bench: Bench):
    """The last half second may still change."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 75)
    kept = bench.kept[1]
    kept.append_settled()
    assert kept.spool.n_slots == pytest.approx(75 - SETTLED_SLOTS, abs=1)
    kept.append_settled()
    bench.close_tap()
    assert bench.audio().tobytes() == b"".join(ramp(packet) for packet in range(75))


def test_a_spool_that_was_ahead_of_a_late_finish_is_cut(bench: Bench):
    """A finishing digit that was acted on late still ends the recording where it was."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 50)
    timestamp = peer.timestamp
    bench.talk(peer, 100, first=50)
    bench.kept[1].append_settled()
    bench.close_tap(timestamp=timestamp)
    assert bench.audio().tobytes() == b"".join(ramp(packet) for packet in range(50))


def test_without_a_report_the_length_is_what_was_placed(bench: Bench):
    """The worker died: the last audio placed is the end."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 50)
    bench.tick(30)
    kept = bench.kept.pop(1)
    assert kept.complete(None) == 50 * 160
    kept.spool.close()
    with open_spool(kept.spool.path) as reader:
        assert reader.header.zero_s == pytest.approx(1000.02, abs=0.03)
        assert reader.header.zero_us > 1_700_000_000_000_000


def test_salvage_takes_rings_and_spools_and_is_idempotent(bench: Bench):
    """Rows in use are completed, rows of nobody and damaged files are passed over."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 60)
    spools = bench.tmp_path
    bench.arena.reset(3, "../evil", "PCMU")
    bench.arena.headers[3]["state"] = RowState.ACTIVE
    (spools / "cut.arena").write_bytes(b"x" * 10)
    (spools / "cut.spool").write_bytes(b"x" * 10)
    alone = SpoolWriter(spool_path(spools, "alone"), "PCMU")
    alone.finish(1000)
    alone.close()
    expected = {"tap1": 60 * 160, "alone": 1000}
    assert salvage(bench.tmp_path, spools) == expected
    assert salvage(bench.tmp_path, spools) == expected
    assert bench.arena.headers[1]["state"] == RowState.FREE
    with open_spool(spool_path(spools, "tap1")) as reader:
        assert reader.payload(0, 60).tobytes() == b"".join(ramp(packet) for packet in range(60))


def test_a_full_disk_is_survived(bench: Bench):
    """What the ring still holds is written when there is room again."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 60)
    kept = bench.kept[1]
    before = kept.spool.n_slots
    disk = os.dup(kept.spool.fileno())
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), kept.spool.fileno())
    kept.append_settled()
    assert kept.broken
    assert kept.spool.n_slots == before
    os.dup2(disk, kept.spool.fileno())
    os.close(disk)
    bench.close_tap()
    assert bench.audio().tobytes() == b"".join(ramp(packet) for packet in range(60))
    assert not kept.broken


def test_a_disk_that_refuses_once_costs_no_audio(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """What the ring holds is never replaced by silence: completing fails, and works later."""
    peer = bench.open()
    bench.record()
    bench.talk(peer, 60)
    kept = bench.kept[1]
    pwrite, refused = os.pwrite, []

    def refuse_once(fd: int, data: bytes, offset: int) -> int:
        if not refused:
            refused.append(offset)
            raise OSError(errno.ENOSPC, "disk full")
        return pwrite(fd, data, offset)

    bench.close_tap()
    monkeypatch.setattr(os, "pwrite", refuse_once)
    with pytest.raises(StoreError):
        kept.complete(None)
    assert refused
    assert bench.audio().tobytes() == b"".join(ramp(packet) for packet in range(60))


def test_a_flush_waits_for_the_disk(bench: Bench):
    """A spool that cannot be made yet holds its end back: the row stays, then all of it is told."""
    peer = bench.open()
    bench.record()
    bench.kept.pop(1).spool.close()
    bench.talk(peer, 60)
    bench.close_tap()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    keeper = Keeper(ipc.Channel(theirs, m.KeeperCommand))
    told = ipc.Channel(ours, m.KeeperEvent)
    path = bench.tmp_path / "not there yet" / "tap1.spool"
    keeper._obey(m.WatchArena(1, str(bench.tmp_path / "taps.arena")))
    keeper._obey(m.KeepRow(1, 1, "tap1", str(path), "PCMU"))
    (closed,) = bench.of(m.TapClosed)
    keeper._obey(m.FlushRow(1, 1, "tap1", closed.n_samples))
    assert keeper._pass()
    with pytest.raises(BlockingIOError):
        told.receive()
    assert bench.arena.headers[1]["state"] != RowState.FREE
    path.parent.mkdir()
    assert keeper._pass()
    keeper._threads.shutdown(wait=True)
    assert keeper._serve()
    received = told.receive()
    assert received is not None
    assert received[0] == m.RowFlushed(1, 1, "tap1", 60 * 160)
    assert bench.arena.headers[1]["state"] == RowState.FREE
    with open_spool(path) as reader:
        assert reader.payload(0, 60).tobytes() == b"".join(ramp(packet) for packet in range(60))
