"""What a power cut costs: all that no fsync had reached, and the rings, which are memory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.unit.engine.media.harness import Bench, ramp
from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.keeper import PASS_INTERVAL_S, Keeper
from voiceblocks.engine.media.salvage import salvage, spool_path
from voiceblocks.recordings.spool import open_spool

MOST_LOST_S = 2.0
PACKETS_PER_S = 50


@pytest.mark.parametrize("packets", [130, 175, 240, 349])
def test_a_power_cut_costs_at_most_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packets: int
) -> None:
    """
    Cut to what was synced, without rings, a spool has all but the last two seconds.

    The keeper's real pass is made once a second of the call, its real sync is watched.
    """
    synced: dict[int, int] = {}
    sync = os.fdatasync

    def watched(fd: int) -> None:
        stat = os.fstat(fd)
        sync(fd)
        synced[stat.st_ino] = stat.st_size

    monkeypatch.setattr(os, "fdatasync", watched)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = Keeper(ipc.Channel(theirs, m.KeeperCommand))
    bench = Bench(tmp_path)
    peer = bench.open()
    bench.record()
    bench.kept.pop(1).spool.close()
    path = spool_path(tmp_path, "tap1")
    keeper._obey(m.WatchArena(1, str(tmp_path / "taps.arena")))
    keeper._obey(m.KeepRow(1, 1, "tap1", str(path), "PCMU"))
    a_pass = round(PASS_INTERVAL_S * PACKETS_PER_S)
    for first in range(0, packets, a_pass):
        bench.talk(peer, min(a_pass, packets - first), first=first)
        if first + a_pass <= packets:
            assert keeper._pass()
            # The sync of one pass is over before the next: a disk that takes longer costs more.
            keeper._threads.submit(lambda: None).result()
            while keeper._syncing:
                keeper._threads.submit(lambda: None).result()
    os.truncate(path, synced[path.stat().st_ino])
    bench.close()
    (tmp_path / "taps.arena").unlink()
    kept = salvage(tmp_path, tmp_path)["tap1"] // 160
    assert packets - kept <= MOST_LOST_S * PACKETS_PER_S
    with open_spool(path) as reader:
        assert reader.payload(0, kept).tobytes() == b"".join(ramp(n) for n in range(kept))
    ours.close()
    keeper._threads.shutdown()
