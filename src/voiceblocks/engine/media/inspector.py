"""Judges RTP packets one by one: everything that the fast path does not expect.

New streams and sources, lost, late and doubled packets, other packet sizes, digits, comfort
noise and garbage come here. Nothing that arrives raises.
"""

from __future__ import annotations

from collections.abc import Callable

from voiceblocks.engine.media.ears import Ears
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.messages import DigitReceived, LegHeard
from voiceblocks.engine.media.taps import Taps
from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.packet import RtpPacket
from voiceblocks.rtp.rtcp import Order
from voiceblocks.rtp.source_lock import Verdict
from voiceblocks.rtp.telephone_event import DigitDetector, TelephoneEvent
from voiceblocks.rtp.timeline import Placement

MAX_PACKET_SAMPLES = 1440
"180 ms in one packet; a datagram row holds no more."

DOUBT_S = 5.0
"""So long the host that SDP named may take a leg back from a stranger who was faster. Then the
kernel drops what others send, as it does at once where the source is the expected one."""


class Inspector:
    """
    The careful half of reception.

    Args:
        legs: The table.
        taps: Where audio goes.
        ears: Where audio goes that is heard in here.
        report: Takes `DigitReceived` and `LegHeard`.
        retarget: Called when a leg's source lock has found where to send.
    """

    def __init__(
        self,
        legs: LegTable,
        taps: Taps,
        ears: Ears,
        report: Callable[[DigitReceived | LegHeard], None],
        retarget: Callable[[Leg], None],
    ) -> None:
        self._columns = legs.columns
        self._taps = taps
        self._ears = ears
        self._report = report
        self._retarget = retarget

    def receive(
        self, leg: Leg, data: memoryview, source: tuple[str, int] | None, now: float
    ) -> bool:
        """
        Take one datagram.

        Args:
            leg: Whose socket it came to.
            data: The datagram; not kept.
            source: Who sent it, `None` when the kernel has checked that.
            now: When it was read.

        Returns:
            Whether it was of use.
        """
        try:
            packet = RtpPacket.parse(data)
        except RemoteRtpError:
            return False
        kind = leg.kind_of(packet.payload_type)
        if kind is None:
            return False
        if not self._admit(leg, packet, source, now):
            return False
        leg.load()
        self._columns.heard_at[leg.slot] = now
        if packet.ssrc != leg.heard_ssrc:
            self._begin_stream(leg, packet.ssrc)
        used = self._take(leg, packet, kind, now)
        leg.store()
        return used

    def _admit(
        self, leg: Leg, packet: RtpPacket, source: tuple[str, int] | None, now: float
    ) -> bool:
        known = source or leg.lock.source
        if known is None:
            return False
        verdict = leg.lock.receive(known, packet.ssrc, packet.sequence)
        if verdict is Verdict.REFUSE:
            return False
        if verdict is Verdict.LOCKED:
            leg.locked_at = now
            self._retarget(leg)
            if leg.told_source != known:
                leg.told_source = known
                self._report(LegHeard(leg.ident, known, packet.ssrc))
        is_settled = not leg.lock.is_doubtful or now - leg.locked_at >= DOUBT_S
        if is_settled and not leg.connected:
            self._connect(leg, known)
        return True

    def _connect(self, leg: Leg, source: tuple[str, int]) -> None:
        try:
            leg.rtp.connect(source)
        except OSError:
            return
        leg.connected = True
        leg.drained = False
        self._retarget(leg)

    def _begin_stream(self, leg: Leg, ssrc: int) -> None:
        if leg.heard_ssrc is not None:
            leg.statistics.forget_stream()
            leg.timeline.reset()
            leg.detector = DigitDetector()
        leg.heard_ssrc = ssrc

    def _take(self, leg: Leg, packet: RtpPacket, kind: str, now: float) -> bool:
        is_audio = kind not in ("event", "noise")
        order = leg.statistics.receive(packet.sequence, packet.timestamp if is_audio else None, now)
        if kind == "event":
            return self._take_event(leg, packet, now)
        if not is_audio:
            return True
        n_samples = len(packet.payload)
        if not leg.receive or not 0 < n_samples <= MAX_PACKET_SAMPLES:
            return not leg.receive
        in_order = order is not Order.OLDER
        stretched = leg.timeline.state.slew > 0 and in_order and leg.is_recorded
        placement, position = leg.timeline.place(
            packet.timestamp, n_samples, now, in_order=in_order, recording=leg.is_recorded
        )
        if placement is Placement.TOO_LATE:
            leg.packets_late += 1
            return False
        if in_order:
            leg.law = kind
            leg.payload_type = packet.payload_type
            leg.packet_samples = n_samples
        payload = packet.payload
        if stretched and placement is Placement.PLACED:
            # The sample that the slower clock leaves open repeats its neighbour.
            payload, position = payload[:1] + payload, position - 1
        self._taps.place(leg, position, payload)
        if self._columns.ear[leg.slot]:
            self._ears.place(leg.slot, position, payload, kind)
        return True

    def _take_event(self, leg: Leg, packet: RtpPacket, now: float) -> bool:
        try:
            event = TelephoneEvent.parse(packet.payload)
        except RemoteRtpError:
            return False
        digit = leg.detector.receive(event, packet.timestamp, packet.marker)
        if digit is not None:
            if leg.timeline.state.anchored:
                leg.remember_digit(digit.timestamp, leg.timeline.position_at(digit.timestamp))
            self._report(DigitReceived(leg.ident, digit.digit, now, digit.timestamp))
        return True
