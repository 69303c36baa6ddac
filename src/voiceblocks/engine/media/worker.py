"""The media worker: one process, one thread, a tick every 10 ms.

`python -m voiceblocks.engine.media.worker FD ARENA CAPACITY`, by `ipc.spawn`. Each tick reads
all sockets, obeys the control process and sends what is due: a leg's packets go out on even or
on odd ticks, so that half of the legs share a tick. Ticks have absolute deadlines. Nothing
here waits for a disk, and garbage collection is off: nothing makes cycles.

The process exits when its channel closes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.ears import Ears
from voiceblocks.engine.media.inspector import Inspector
from voiceblocks.engine.media.lateness import Lateness
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.mixer import Mixer
from voiceblocks.engine.media.moving import dump_leg, load_leg
from voiceblocks.engine.media.receive import Reception
from voiceblocks.engine.media.reports import Reporter
from voiceblocks.engine.media.ring import Arena
from voiceblocks.engine.media.sockets import KernelSockets, Sockets
from voiceblocks.engine.media.sources import ClipCache, Source
from voiceblocks.engine.media.taps import Tap, Taps
from voiceblocks.engine.media.tones import ToneListener
from voiceblocks.engine.media.transmit import Transmitter
from voiceblocks.engine.media.worker_loop import TICK_S, Outbox, run
from voiceblocks.rtp.source_lock import SourceLock

PRIORITY = -15
"Nice value. Measured with both cores busy: p99 of tick lateness 3.4 ms without, 2.9 ms with."


class Worker:
    """
    All legs of one process. Reads no clock: who drives it passes tick number and time.

    Args:
        arena: Rows for recordings.
        capacity: Most legs at a time.
        report: Sends an event (with descriptors) to the control process.
        sockets: Where its sockets come from; the kernel's if omitted.
    """

    def __init__(
        self,
        arena: Arena,
        capacity: int,
        report: Callable[..., None],
        sockets: Sockets | None = None,
    ) -> None:
        self._report = report
        self._sockets = sockets or KernelSockets()
        self._legs = LegTable(capacity)
        self._clips = ClipCache()
        self._taps = Taps(arena, report)
        self._ears = ears = Ears(self._legs.columns)
        self._tones = ToneListener(self._legs, ears, report)
        self._mixer = Mixer(self._legs, ears, report, self._tones.listens)
        self._transmitter = Transmitter(self._legs, report, self._mixer, self._taps)
        inspector = Inspector(self._legs, self._taps, ears, report, self._transmitter.retarget)
        self._reception = Reception(self._legs, self._taps, ears, inspector, self._sockets)
        self._reporter = Reporter(self._legs, report, self._relearn)
        self._tick = 0
        self._now = 0.0
        self._utc_us = 0
        self._handlers: dict[type, Callable[[Any, list[int]], None]] = {
            m.OpenLeg: self._open_leg,
            m.UpdateLeg: self._update_leg,
            m.CloseLeg: self._close_leg,
            m.StartSource: self._start_source,
            m.StopSource: self._stop_source,
            m.OpenTap: self._open_tap,
            m.CloseTap: self._close_tap,
            m.PauseTap: self._pause_tap,
            m.JoinMix: self._join_mix,
            m.LeaveMix: self._leave_mix,
            m.SendDigits: self._send_digits,
            m.DetachLeg: self._detach_leg,
            m.AttachLeg: self._attach_leg,
        }

    def run_tick(self, tick: int, now: float, utc_us: int) -> None:
        """Do the work of one tick: receive, then send, then what is due now and then."""
        self._tick, self._now, self._utc_us = tick, now, utc_us
        self._taps.tick(now)
        self._ears.tick(tick, now)
        self._reception.tick(now)
        if len(self._ears.slots):
            self._ears.play()
            self._mixer.tick(tick)
            self._tones.tick(now)
        self._transmitter.tick(tick, self._ears.clock)
        if self._mixer.is_leaving:
            self._mixer.end_leavings(tick, self._transmitter)
        self._reporter.tick(tick, now, utc_us)

    def skip_to(self, tick: int) -> None:
        """Give up what should have been sent before `tick`."""
        self._transmitter.skip_to(tick)
        self._mixer.forget_past()

    def stats(self, lateness: Lateness, elapsed_s: float) -> m.WorkerStats:
        """Summarise the time since the last call."""
        p99, latest, histogram, busy_s = lateness.summary()
        return m.WorkerStats(
            legs=len(self._legs),
            tick_late_p99_ms=p99,
            tick_late_max_ms=latest,
            busy_share=busy_s / elapsed_s if elapsed_s > 0 else 0.0,
            packets_received=self._reception.packets_received,
            packets_sent=self._transmitter.packets_sent,
            packets_dropped=self._reception.packets_dropped + self._transmitter.packets_dropped,
            late_histogram=histogram,
            taps=len(self._taps),
            mixes=self._mixer.n_mixes,
        )

    def obey(self, command: m.WorkerCommand, fds: list[int]) -> None:
        """Carry out one command. One about a leg that is gone is ignored: it was on its way."""
        handler = self._handlers.get(type(command))
        if handler is not None:
            handler(command, fds)

    def close(self) -> None:
        """End all legs."""
        for ident in list(self._legs.by_ident):
            self._close_leg(m.CloseLeg(ident), [])
        self._reception.close()

    def _relearn(self, leg: Leg) -> None:
        self._reception.relearn(leg)
        self._transmitter.retarget(leg)

    def _place(self, leg: Leg) -> None:
        leg.rtcp.setblocking(False)
        self._reception.add(leg)
        self._reception.watch(leg.rtcp.fileno(), lambda now: self._reporter.receive(leg, now))

    def _listen(self, leg: Leg) -> None:
        """Keep an ear for a leg's keys, or give it up, as its format says."""
        self._tones.update(leg)
        if not self._tones.listens(leg) and not self._mixer.has(leg):
            self._ears.close(leg.slot)

    def _remove(self, leg: Leg) -> None:
        self._tones.forget(leg)
        self._mixer.remove(leg)
        self._ears.close(leg.slot)
        self._reception.remove(leg)
        self._reception.unwatch(leg.rtcp.fileno())
        self._legs.remove(leg)

    def _open_leg(self, command: m.OpenLeg, fds: list[int]) -> None:
        rtp, rtcp = (self._sockets.adopt(fd) for fd in fds)
        leg = self._legs.add(
            command.leg, rtp, rtcp, command.format, SourceLock(command.remote), command.cname
        )
        leg.send, leg.receive = command.send, command.receive
        leg.remote_rtcp = command.remote_rtcp
        columns, slot = self._legs.columns, leg.slot
        columns.out_ssrc[slot] = command.stream.ssrc
        columns.out_sequence[slot] = command.stream.sequence
        columns.out_timestamp[slot] = command.stream.timestamp
        self._place(leg)
        # Neighbours in the table send on different ticks.
        self._transmitter.begin(leg, self._tick + 1 + slot % 2)
        self._reporter.begin(leg, self._now)
        self._listen(leg)

    def _update_leg(self, command: m.UpdateLeg, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is None:
            return
        if leg.source is not None:
            leg.source.play_as(command.format.codec)
        leg.format = command.format
        leg.send, leg.receive = command.send, command.receive
        if command.remote_rtcp != leg.remote_rtcp:
            leg.rtcp_source = None
        leg.remote_rtcp = command.remote_rtcp
        leg.lock.update(command.remote)
        self._reception.relearn(leg)
        self._transmitter.begin(leg, self._tick + 1)
        leg.judge_out()
        self._listen(leg)

    def _close_leg(self, command: m.CloseLeg, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is None:
            return
        self._taps.close_all(leg, self._now)
        self._transmitter.end(leg)
        self._reporter.end(leg, self._now, self._utc_us)
        self._report(leg.closed())
        self._remove(leg)
        leg.rtp.close()
        leg.rtcp.close()

    def _start_source(self, command: m.StartSource, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        source = None
        if leg is not None:
            with contextlib.suppress(OSError):
                source = Source(
                    command.source,
                    command.clips,
                    leg.format.codec,
                    self._clips,
                    loop=command.loop,
                    then_recorded=command.then_recorded,
                )
        if leg is None or source is None or source.is_empty:
            completed = source is not None
            self._report(m.SourceEnded(command.leg, command.source, completed, self._now))
        else:
            self._transmitter.play(leg, source)

    def _stop_source(self, command: m.StopSource, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is not None:
            self._transmitter.stop(leg, command.source)

    def _open_tap(self, command: m.OpenTap, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is None:
            stats = m.TapStats()
            self._report(m.TapClosed(command.leg, command.tap, command.row, 0, False, stats))
        else:
            self._taps.open(leg, command, self._now, self._utc_us)

    def _close_tap(self, command: m.CloseTap, _fds: list[int]) -> None:
        found = self._tap_of(command.leg, command.tap)
        if found is None:
            return
        leg, tap = found
        if command.at_timestamp is None:
            self._taps.close_at(leg, tap, command.at, self._now)
        else:
            self._taps.close_at_timestamp(leg, tap, command.at_timestamp, command.at, self._now)

    def _pause_tap(self, command: m.PauseTap, _fds: list[int]) -> None:
        found = self._tap_of(command.leg, command.tap)
        if found is not None:
            (self._taps.pause if command.paused else self._taps.resume)(*found, command.at)

    def _tap_of(self, leg_ident: int, ident: int) -> tuple[Leg, Tap] | None:
        leg = self._legs.by_ident.get(leg_ident)
        if leg is None:
            return None
        tap = next((tap for tap in (*leg.taps, *leg.out_taps) if tap.ident == ident), None)
        return None if tap is None else (leg, tap)

    def _join_mix(self, command: m.JoinMix, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is not None:
            self._mixer.join(leg, command)

    def _leave_mix(self, command: m.LeaveMix, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is not None:
            self._mixer.leave(leg, command.mix)

    def _send_digits(self, command: m.SendDigits, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is not None:
            self._transmitter.send_digits(leg, command.digits)

    def _detach_leg(self, command: m.DetachLeg, _fds: list[int]) -> None:
        leg = self._legs.by_ident.get(command.leg)
        if leg is None:
            return
        due_in = int(self._legs.columns.due[leg.slot]) - self._tick
        state = dump_leg(
            leg, self._legs, self._now + due_in * TICK_S, self._transmitter.digits_of(leg)
        )
        self._taps.give_up(leg)
        self._transmitter.detach(leg)
        self._remove(leg)
        self._report(m.LegDetached(leg.ident, state), [leg.rtp.fileno(), leg.rtcp.fileno()])
        leg.rtp.close()
        leg.rtcp.close()

    def _attach_leg(self, command: m.AttachLeg, fds: list[int]) -> None:
        rtp, rtcp = (self._sockets.adopt(fd) for fd in fds)
        leg, state, source = load_leg(
            command.leg, command.state, rtp, rtcp, self._legs, self._clips
        )
        self._place(leg)
        due_in = round((state.due_at - self._now) / TICK_S)
        self._transmitter.begin(leg, self._tick + due_in)
        self._legs.columns.marker[leg.slot] = 0
        self._transmitter.resume(leg, source)
        for tap in state.taps:
            self._taps.adopt(leg, tap)
        self._transmitter.resume_digits(leg, state.sending_digits)
        self._listen(leg)


def main(argv: list[str]) -> None:
    """Run the process."""
    channel: ipc.Channel[m.WorkerCommand] = ipc.Channel(ipc.child_socket(argv), m.WorkerCommand)
    outbox = Outbox(channel)
    arena = Arena.open(Path(argv[2]))
    arena.prefault()
    worker = Worker(arena, int(argv[3]), outbox.send)
    outbox.send(m.Hello(m.PROTOCOL_VERSION, os.getpid()))
    channel.setblocking(False)
    ipc.set_niceness(PRIORITY)
    gc.collect()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        run(channel, outbox, worker)
        worker.close()


if __name__ == "__main__":
    main(sys.argv)
