"""Many ticks at once, where nothing happens in them but audio that goes on as it was.

While a caller speaks into a recording, or both sides are silent, a tick does what the tick before
did: a packet each way, in its order. `cruise` does a second of such ticks with one array operation
each instead of fifty. It is a short cut through `Worker.run_tick`, not another way: whatever is
not plainly so is left to the ticks, and a test compares every byte and counter with theirs.

What makes a stretch plain, for every leg: it is on the fast path; its peer is a simulated phone
that speaks one thing or nothing; it sends silence, has no keys, no mix, no ear and at most one
tap, of what it receives and not sealed, that does not end meanwhile; and no report of its is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voiceblocks.engine.media.legs import NEVER, Leg
from voiceblocks.engine.media.ring import RING_SLOTS, Arena
from voiceblocks.engine.media.taps import CLEAN_AHEAD
from voiceblocks.engine.media.worker import Worker
from voiceblocks.recordings.spool import SILENCE_BYTE, SLOT_SAMPLES
from voiceblocks.rtp.batch import PLAIN
from voiceblocks.rtp.timeline import CLOCK_HZ, MAX_AHEAD, STALE_LEAD, position_of
from voiceblocks.testing.simulation.network import Address
from voiceblocks.testing.simulation.phone_media import SimulatedMedia, rtp_packet
from voiceblocks.testing.simulation.virtual_loop import time_of

LEAST_TICKS = 6
"A shorter stretch is not worth looking at."
MOST_TICKS = 100
MOST_PHONES = 8
"With more, reports leave no stretch long enough, and it is not even looked for."

_REPORT_TICKS = 100
"`engine.media.reports` looks at each slot so often."
_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Pair:
    """A leg and the phone at its other end."""

    leg: Leg
    phone: SimulatedMedia
    address: Address
    "Of the leg."
    caller: Address
    "Of the phone."


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What one pair does in a stretch: at which ticks a packet leaves, and what it says."""

    pair: _Pair
    spoken: range
    heard: range


class CruisingWorker(Worker):
    """A worker that can do many plain ticks at once."""

    def __init__(self, arena: Arena, *options: Any) -> None:
        super().__init__(arena, *options)
        self._arena = arena

    def cruise(self, phones: Sequence[SimulatedMedia], tick: int, n_most: int) -> int:
        """
        Do the ticks after `tick`, phones' part included, as far as they are plain.

        Args:
            phones: All that send.
            tick: The last that was done.
            n_most: More are not wanted: something else happens then.

        Returns:
            How many were done; 0: the next one is for `run_tick`.
        """
        pairs = self._pairs(phones)
        if pairs is None:
            return 0
        count = min(n_most, MOST_TICKS, *(self._room(pair, tick) for pair in pairs))
        if count < LEAST_TICKS:
            return 0
        stretches = [self._plan(pair, tick, count) for pair in pairs]
        leads = [self._leads(stretch) for stretch in stretches]
        if any(found is None for found in leads):
            return 0
        self._exchange(stretches, phones, tick, count)
        for pair in pairs:
            self._clean_ahead(pair.leg, position_of(time_of(tick + count)))
        self._taps.tick(time_of(tick + count))
        self._ears.tick(tick + count, time_of(tick + count))
        for stretch, least in zip(stretches, leads, strict=True):
            assert least is not None
            self._receive(stretch, least)
            self._send(stretch)
        return count

    def _pairs(self, phones: Sequence[SimulatedMedia]) -> list[_Pair] | None:
        """Every leg with its phone, in the order of slots; `None` where one stands alone."""
        legs = self._legs.by_ident.values()
        if len(legs) != len(phones) or not legs:
            return None
        if len(self._ears.slots) or not self._mixer.is_idle or self._mixer.is_leaving:
            return None
        by_address = {phone.address: phone for phone in phones}
        pairs = []
        for leg in legs:
            address: Address = leg.rtp.getsockname()
            caller = leg.lock.source
            phone = by_address.get(caller)
            if caller is None or phone is None or phone.remote != address:
                return None
            pairs.append(_Pair(leg, phone, address, caller))
        return sorted(pairs, key=lambda pair: pair.leg.slot)

    def _room(self, pair: _Pair, tick: int) -> int:
        """For how many ticks nothing but plain audio happens to a leg; 0 if it is not plain now."""
        leg, columns, slot = pair.leg, self._legs.columns, pair.leg.slot
        is_plain = (
            columns.fast[slot]
            and leg.source is None
            and not leg.out_taps
            and columns.marker[slot] == 0
            and columns.due[slot] != NEVER
            and columns.late_since[slot] < 0
            and self._transmitter.digits_of(leg) is None
            and not leg.rtp.has_something  # type: ignore[attr-defined]
            and self._is_expected(pair)
        )
        if not is_plain:
            return 0
        room = min(pair.phone.room(tick), (slot - tick - 1) % _REPORT_TICKS)
        for tap in leg.taps:
            if tap.sealing is not None or int(columns.position[slot]) < tap.zero:
                return 0
            # Whole packets before its end, and no tick at which it could close.
            left = tap.end - position_of(time_of(tick)) - int(columns.samples[slot])
            room = min(room, left * 100 // CLOCK_HZ - 1)
        return room

    def _is_expected(self, pair: _Pair) -> bool:
        """Whether the phone's next packet is the one that the fast path waits for."""
        columns, slot, phone = self._legs.columns, pair.leg.slot, pair.phone
        return bool(
            phone.next_packet
            == (
                int(columns.sequence[slot]),
                int(columns.timestamp[slot]),
                int(columns.ssrc[slot]),
                int(columns.samples[slot]),
            )
            and columns.word0[slot] == PLAIN | phone.payload_type << 16
            and phone.hears(pair.leg.format.payload_type)
        )

    def _plan(self, pair: _Pair, tick: int, count: int) -> _Stretch:
        columns, slot = self._legs.columns, pair.leg.slot
        first = int(columns.due[slot])
        ticks = range(first, tick + count + 1, int(columns.step[slot]))
        return _Stretch(pair, pair.phone.ticks_of(tick, count), ticks)

    def _leads(self, stretch: _Stretch) -> int | None:
        """The least lead of what comes; `None` if a packet is not in time."""
        columns, slot = self._legs.columns, stretch.pair.leg.slot
        samples, position = int(columns.samples[slot]), int(columns.position[slot])
        leads = [
            position_of(time_of(tick)) - position - (index + 1) * samples
            for index, tick in enumerate(stretch.spoken)
        ]
        if any(not -MAX_AHEAD <= lead <= STALE_LEAD for lead in leads):
            return None
        return min(leads, default=int(columns.least_lead[slot]))

    def _exchange(
        self,
        stretches: Sequence[_Stretch],
        phones: Sequence[SimulatedMedia],
        tick: int,
        count: int,
    ) -> None:
        """Let all packets pass, in their order: a tick's phones first, as they began to send."""
        said = {id(s.pair.phone): s.pair.phone.speak(s.spoken) for s in stretches}
        replies = {id(s.pair.leg): self._packets(s) for s in stretches}
        order = {id(phone): place for place, phone in enumerate(phones)}
        by_phone = sorted(stretches, key=lambda s: order[id(s.pair.phone)])
        watch = stretches[0].pair.phone.watch
        if watch is not None:
            for at in range(tick + 1, tick + count + 1):
                for stretch in by_phone:
                    if at in stretch.spoken:
                        index = stretch.spoken.index(at)
                        pair = stretch.pair
                        watch(said[id(pair.phone)][index], pair.caller, pair.address)
                for stretch in stretches:
                    if at in stretch.heard:
                        index = stretch.heard.index(at)
                        pair = stretch.pair
                        watch(replies[id(pair.leg)][index], pair.address, pair.caller)
        for stretch in stretches:
            times = [time_of(at) for at in stretch.heard]
            stretch.pair.phone.hear_silence(times, replies[id(stretch.pair.leg)])

    def _packets(self, stretch: _Stretch) -> list[bytes]:
        """The silence that a leg sends."""
        leg, columns, slot = stretch.pair.leg, self._legs.columns, stretch.pair.leg.slot
        samples = int(columns.out_samples[slot])
        payload = bytes([SILENCE_BYTE[leg.format.codec]]) * samples
        sequence, timestamp = int(columns.out_sequence[slot]), int(columns.out_timestamp[slot])
        kind, ssrc = leg.format.payload_type, int(columns.out_ssrc[slot])
        return [
            rtp_packet(
                kind, (sequence + n) & 0xFFFF, (timestamp + n * samples) & _WORD, ssrc, payload
            )
            for n in range(len(stretch.heard))
        ]

    def _send(self, stretch: _Stretch) -> None:
        columns, slot, count = self._legs.columns, stretch.pair.leg.slot, len(stretch.heard)
        samples = int(columns.out_samples[slot])
        columns.out_sequence[slot] = (int(columns.out_sequence[slot]) + count) & 0xFFFF
        columns.out_timestamp[slot] = (int(columns.out_timestamp[slot]) + count * samples) & _WORD
        columns.due[slot] += count * int(columns.step[slot])
        columns.sent[slot] += count
        self._transmitter.packets_sent += count

    def _clean_ahead(self, leg: Leg, position: int) -> None:
        """Clean all slots that come next in one piece, or two; `Taps.tick` finds nothing to do."""
        arena = self._arena
        for tap in leg.taps:
            clean = int(arena.headers[tap.row]["clean_slots"])
            until = -(-(position - tap.zero + CLEAN_AHEAD) // SLOT_SAMPLES)
            if not 0 < until - clean <= RING_SLOTS:
                continue
            first, after = clean % RING_SLOTS, clean % RING_SLOTS + until - clean
            for part in (
                slice(first, min(after, RING_SLOTS)),
                slice(0, max(0, after - RING_SLOTS)),
            ):
                arena.slots[tap.row, part] = SILENCE_BYTE[tap.law]
                arena.presence[tap.row, part] = 0
            arena.headers[tap.row]["clean_slots"] = until

    def _receive(self, stretch: _Stretch, least_lead: int) -> None:
        """What `Reception` does with these packets, one after another."""
        leg, columns, slot = stretch.pair.leg, self._legs.columns, stretch.pair.leg.slot
        count = len(stretch.spoken)
        if not count:
            return
        samples, position = int(columns.samples[slot]), int(columns.position[slot])
        timestamp = int(columns.timestamp[slot])
        self._taps.place(leg, position, stretch.pair.phone.spoken_payload)
        columns.sequence[slot] = (int(columns.sequence[slot]) + count) & 0xFFFF
        columns.timestamp[slot] = (timestamp + count * samples) & _WORD
        columns.position[slot] = position + count * samples
        columns.least_lead[slot] = min(int(columns.least_lead[slot]), least_lead)
        columns.highest[slot] += count
        columns.received[slot] += count
        columns.heard_at[slot] = time_of(stretch.spoken[-1])
        self._reception.packets_received += count
        transit, jitter = float(columns.transit[slot]), float(columns.jitter[slot])
        for index, tick in enumerate(stretch.spoken):
            arrived = position_of(time_of(tick)) - timestamp - index * samples
            now = float(((arrived + 2**31) & _WORD) - 2**31)
            jitter += (abs(now - transit) - jitter) / 16
            transit = now
        columns.transit[slot], columns.jitter[slot] = transit, jitter
