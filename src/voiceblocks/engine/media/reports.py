"""What a worker does now and then for each leg: RTCP, silence, drift of the peer's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.messages import LegSilent
from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    ntp_time,
    parse_compound,
    serialize_compound,
)
from voiceblocks.rtp.source_lock import SILENCE_S
from voiceblocks.rtp.timeline import DEAD_BAND, NO_LEAD, WINDOW_S

REPORT_INTERVAL_S = 5.0
"RFC 3550 section 6.2: the minimum, and what two parties get."

LEG_SILENT_S = 30.0

_TURN_TICKS = 100
"One second."

_GOLDEN = 0.618034
"Spreads the reports of legs that were opened together."


class Reporter:
    """
    Looks after the legs of one worker.

    Args:
        legs: The table.
        report: Takes `LegSilent`.
        relearn: Called when a leg has to hear others than its locked source again.
    """

    def __init__(
        self,
        legs: LegTable,
        report: Callable[[LegSilent], None],
        relearn: Callable[[Leg], None],
    ) -> None:
        self._legs = legs
        self._columns = legs.columns
        self._report = report
        self._relearn = relearn

    def begin(self, leg: Leg, now: float) -> None:
        """Start the clocks of a new leg."""
        leg.opened_at = leg.rtcp_heard_at = now
        self._columns.heard_at[leg.slot] = now
        leg.next_report_at = now + REPORT_INTERVAL_S * (0.2 + leg.ident * _GOLDEN % 1.0 * 0.6)
        leg.next_silent_at = now + LEG_SILENT_S

    def end(self, leg: Leg, now: float, utc_us: int) -> None:
        """Say goodbye."""
        self._send(leg, [*self._reports(leg, now, utc_us), Goodbye((self._ssrc(leg),))])

    def tick(self, tick: int, now: float, utc_us: int) -> None:
        """Do what is due for a hundredth of the legs, so that each has its turn every second."""
        by_slot = self._legs.by_slot
        for slot in range(tick % _TURN_TICKS, len(by_slot), _TURN_TICKS):
            leg = by_slot[slot]
            if leg is not None:
                self._judge_lead(leg, now)
                self._check_silence(leg, now)
                if now >= leg.next_report_at:
                    leg.next_report_at = now + REPORT_INTERVAL_S
                    self._send(leg, self._reports(leg, now, utc_us))

    def _judge_lead(self, leg: Leg, now: float) -> None:
        if leg.is_recorded and now < leg.timeline.state.window_ends:
            return
        leads = self._columns.least_lead
        lead = int(leads[leg.slot])
        if lead != NO_LEAD and (abs(lead) > DEAD_BAND or (lead < 0 and not leg.is_recorded)):
            leg.load()
            leg.timeline.end_window(now, recording=leg.is_recorded)
            leg.store()
        else:
            leg.timeline.state.previous_lead = lead
            leg.timeline.state.window_ends = now + WINDOW_S
            leads[leg.slot] = NO_LEAD

    def _check_silence(self, leg: Leg, now: float) -> None:
        heard_at = float(self._columns.heard_at[leg.slot])
        if now - heard_at >= SILENCE_S and leg.lock.on_silence():
            self._relearn(leg)
        heard_at = max(heard_at, leg.rtcp_heard_at)
        if now - heard_at < LEG_SILENT_S:
            leg.next_silent_at = heard_at + LEG_SILENT_S
        elif now >= leg.next_silent_at:
            leg.next_silent_at += LEG_SILENT_S
            self._report(LegSilent(leg.ident, now - heard_at))

    def receive(self, leg: Leg, now: float) -> None:
        """Read one RTCP datagram of a leg; a stranger's costs no more than that."""
        try:
            data, source = leg.rtcp.recvfrom(2048)
        except OSError:
            return
        target = leg.lock.target
        if target is None or source[0] != target[0]:
            return
        try:
            packets = parse_compound(data)
        except RemoteRtpError:
            return
        leg.rtcp_heard_at = now
        leg.rtcp_source = source
        for packet in packets:
            if isinstance(packet, SenderReport) and packet.ssrc == leg.heard_ssrc:
                leg.statistics.on_sender_report(packet.ntp, now)

    def _ssrc(self, leg: Leg) -> int:
        return int(self._columns.out_ssrc[leg.slot])

    def _reports(self, leg: Leg, now: float, utc_us: int) -> list[RtcpPacket]:
        leg.load()
        ssrc = self._ssrc(leg)
        statistics = leg.statistics
        blocks: tuple[ReportBlock, ...] = ()
        if leg.heard_ssrc is not None and statistics.base >= 0:
            blocks = (statistics.report(leg.heard_ssrc, now),)
        sent = int(self._columns.sent[leg.slot])
        report: RtcpPacket = ReceiverReport(ssrc, blocks)
        if sent and leg.send:
            report = SenderReport(
                ssrc=ssrc,
                ntp=ntp_time(utc_us),
                timestamp=int(self._columns.out_timestamp[leg.slot]),
                packet_count=sent & 0xFFFFFFFF,
                octet_count=sent * int(self._columns.out_samples[leg.slot]) & 0xFFFFFFFF,
                blocks=blocks,
            )
        return [report, SourceDescription(((ssrc, leg.cname),))]

    def _send(self, leg: Leg, packets: list[RtcpPacket]) -> None:
        target = leg.rtcp_source or leg.remote_rtcp
        if target is None or (leg.lock.source and leg.lock.source[0] != target[0]):
            peer = leg.lock.source
            target = (peer[0], peer[1] + 1) if peer is not None and peer[1] < 0xFFFF else target
        if target is not None:
            with contextlib.suppress(OSError):
                leg.rtcp.sendto(serialize_compound(packets), target)
