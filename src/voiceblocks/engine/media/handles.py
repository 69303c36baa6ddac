"""What the control process holds of legs, playbacks and taps in the media processes.

Made by `MediaPlane.open_leg`. All methods return at once and never raise for a leg whose
worker is gone: the callbacks and results tell.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.playing_and_taps import Playback, Tap, TapResult
from voiceblocks.engine.media.ports import Pair
from voiceblocks.engine.media.ring import LAWS
from voiceblocks.errors import CapacityExceeded, ContractViolation
from voiceblocks.rtp.telephone_event import DIGITS

if TYPE_CHECKING:
    from voiceblocks.engine.media.children import WorkerLink
    from voiceblocks.engine.media.mixes import Mix
    from voiceblocks.engine.media.plane import MediaPlane

__all__ = ["MediaLeg", "Playback", "Tap", "TapResult", "plain_address"]

SAMPLES_PER_MS = 8

TapDirection = Literal["in", "out"]
"Whether a tap takes what a leg receives, or what it sends."


def plain_address(address: tuple[str, int] | None) -> tuple[str, int] | None:
    """
    The address, if a packet can be sent there without asking anybody for its name.

    `None` for names, IPv6, port 0, and hosts that are nobody (0.0.0.0 was a hold once) or many.
    """
    if address is None:
        return None
    try:
        host = ipaddress.IPv4Address(address[0])
    except ValueError:
        return None
    is_somebody = not (host.is_unspecified or host.is_multicast or int(host) == 0xFFFFFFFF)
    return address if is_somebody and 0 < address[1] < 0x10000 else None


class MediaLeg:
    """
    One leg's media, wherever its worker is.

    `address` is what our SDP says: host and RTP port.
    """

    def __init__(
        self, plane: MediaPlane, link: WorkerLink, ident: int, pair: Pair, address: tuple[str, int]
    ) -> None:
        self.ident = ident
        self.address = address
        self.link = link
        self.pair = pair
        self.taps: dict[int, Tap] = {}
        self.playbacks: dict[int, Playback] = {}
        self.is_closed = False
        self.is_lost = False
        self.mix: Mix | None = None
        "The mix that it is in."
        self.left_mix: m.LegLeftMix | None = None
        "What the worker said about the mix that it left last."
        self._plane = plane
        self._held: list[m.WorkerCommand] | None = []
        "Commands that wait until the leg is open in its worker; `None` while it is."
        self._detached: asyncio.Future[None] | None = None
        self._target: WorkerLink | None = None
        self._on_digit: Callable[[m.DigitReceived], None] | None = None
        self._on_silent: Callable[[float], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self.on_heard: Callable[[m.LegHeard], None] | None = None
        "Called where the source of its RTP was found."
        self.on_closed: Callable[[m.LegClosed], None] | None = None
        "Called with its counters, a moment after `close`."

    def now(self) -> float:
        """Monotonic seconds, on the clock of its plane."""
        return self._plane.clock.monotonic()

    def post(self, command: m.WorkerCommand) -> None:
        """Send a command to the leg's worker, in order, also while the leg moves."""
        if self.is_lost:
            return
        if self._held is not None:
            self._held.append(command)
        else:
            self.link.send(command)

    def update(
        self,
        *,
        format: m.Format,  # noqa: A002 - the trade's word
        remote: tuple[str, int] | None,
        remote_rtcp: tuple[str, int] | None,
        send: bool = True,
        receive: bool = True,
    ) -> None:
        """
        Set what was negotiated, or negotiated anew; opens a leg that had no format yet.

        An address that is no plain IPv4 one is taken as unknown: the peer is learned from
        its packets. What plays goes on where the codec changes.

        Raises:
            ContractViolation: When the codec is neither PCMU nor PCMA.
        """
        if format.codec not in LAWS:
            raise ContractViolation(f"codec {format.codec} cannot be carried")
        remote, remote_rtcp = plain_address(remote), plain_address(remote_rtcp)
        if self._held is not None and self._detached is None and not self.is_lost:
            self._open(format, remote, remote_rtcp, send=send, receive=receive)
        else:
            self.post(m.UpdateLeg(self.ident, format, remote, remote_rtcp, send, receive))

    def _open(
        self,
        fmt: m.Format,
        remote: tuple[str, int] | None,
        remote_rtcp: tuple[str, int] | None,
        *,
        send: bool,
        receive: bool,
    ) -> None:
        command = m.OpenLeg(
            leg=self.ident,
            format=fmt,
            stream=self._plane.new_stream(),
            remote=remote,
            remote_rtcp=remote_rtcp,
            send=send,
            receive=receive,
            cname=self._plane.cname,
        )
        self.link.send(command, [sock.fileno() for sock in self.pair])
        self._release_held()

    def _release_held(self) -> None:
        held, self._held = self._held or [], None
        for command in held:
            self.link.send(command)

    def play(
        self, clips: Sequence[Path], *, loop: bool = False, then_recorded: bool = False
    ) -> Playback:
        """
        Play clips (G.711 in the leg's law) one after another; replaces what plays.

        Args:
            clips: Files.
            loop: Begin again after the last.
            then_recorded: Keep what comes after the end, for `record(after=...)`.
        """
        source = self._plane.next_ident()
        playback = Playback(self, source)
        if self.is_lost or self.is_closed:
            playback.on_ended(completed=False)
            return playback
        self.playbacks[source] = playback
        paths = [str(clip) for clip in clips]
        self.post(m.StartSource(self.ident, source, paths, loop, then_recorded))
        return playback

    def send_digits(self, digits: str) -> None:
        """
        Send keys one after another: telephone-events if negotiated, else tones in the audio.

        Raises:
            ContractViolation: For what is no key.
        """
        if not set(digits) <= set(DIGITS):
            raise ContractViolation("no such key")
        self.post(m.SendDigits(self.ident, digits))

    def record(
        self,
        name: str,
        *,
        law: str,
        limit_ms: int | None = None,
        direction: TapDirection = "in",
        seal_for: bytes | None = None,
        after: Playback | None = None,
    ) -> Tap:
        """
        Record what the leg receives, or sends, from now on.

        Two taps, one of each direction, that are opened together have one time zero: what is
        heard and what is said lie side by side.

        Args:
            name: Of the spool; unused before, plain ASCII.
            law: `"PCMU"` or `"PCMA"`, of the spool. The leg's own costs least.
            limit_ms: The tap ends by itself after so much wall-clock time.
            direction: "in" is what the leg receives, "out" what it sends, silence included.
            seal_for: Public key: the recording is a sealed one, of what is received.
            after: Begin where this playback was over, at most two seconds ago; it was started
                with `then_recorded`.

        Raises:
            CapacityExceeded: When all rows are taken.
            ContractViolation: When the leg is closed or the name was used before.
        """
        if self.is_closed:
            raise ContractViolation("the leg is closed")
        tap = self._plane.begin_tap(self, name, law, sealed=seal_for is not None)
        self.taps[tap.ident] = tap
        if self.is_lost:
            self._plane.flush_lost(tap)
            return tap
        limit = None if limit_ms is None else limit_ms * SAMPLES_PER_MS
        outgoing = direction == "out"
        source = after.source if after is not None else None
        self.post(
            m.OpenTap(self.ident, tap.ident, tap.row, name, limit, outgoing, seal_for, source)
        )
        return tap

    def on_digit(self, callback: Callable[[m.DigitReceived], None] | None) -> None:
        """Call `callback` with each digit; replaces the one before."""
        self._on_digit = callback

    def on_silent(self, callback: Callable[[float], None] | None) -> None:
        """Call `callback(silent_s)` when nothing came for 30 s, and each 30 s after that."""
        self._on_silent = callback

    def on_lost(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` when the leg's worker died; the leg carries no more audio."""
        self._on_lost = callback

    async def close(self) -> None:
        """End the leg: its taps end now, its ports rest. Fine when closed or lost."""
        if self.is_closed:
            return
        self.is_closed = True
        self.mix = None
        if self._held is not None and self._detached is None:
            # The worker never heard of it.
            self._held = None
            self._plane.forget_unopened(self)
        else:
            if self.on_closed is not None and not self.is_lost:
                self.target.closing[self.ident] = self.on_closed
            self.post(m.CloseLeg(self.ident))
        self._plane.release(self)

    async def move(self, worker: int) -> None:
        """
        Move to another worker without losing a packet; the port stays (decision 14).

        Raises:
            CapacityExceeded: When that worker is full or down.
            ContractViolation: When the leg is closed, or is moving already.
        """
        if self.is_closed or self.is_lost or self._detached is not None or self._held is not None:
            raise ContractViolation("the leg cannot move now")
        await self._move(self._plane.worker(worker))

    async def move_to(self, target: WorkerLink) -> None:
        """
        The same for who has the worker itself; waits while the leg moves already.

        Raises:
            CapacityExceeded: When that worker is full or down.
            ContractViolation: When the leg is closed or lost.
        """
        while self._detached is not None:
            await asyncio.shield(self._detached)
        if self.is_closed or self.is_lost:
            raise ContractViolation("the leg cannot move now")
        if self._held is None:
            await self._move(target)
        elif target is not self.link:
            # No worker has heard of it yet.
            if not target.has_room(reserve=True):
                raise CapacityExceeded("the worker is full")
            self.link.legs.pop(self.ident, None)
            self.link = target
            target.legs[self.ident] = self

    async def _move(self, target: WorkerLink) -> None:
        if target is self.link:
            return
        if not target.has_room(reserve=True):
            raise CapacityExceeded("the worker is full")
        self.link.send(m.DetachLeg(self.ident))
        self._held = []
        self._target = target
        target.arriving += 1
        self._detached = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._detached)

    def on_detached(self, state: bytes, fds: list[int]) -> None:
        """For the plane: the worker let go of the leg; hand it to the next one."""
        target = self._target
        if target is None:
            return
        self.link.legs.pop(self.ident, None)
        self.link = target
        target.legs[self.ident] = self
        target.send(m.AttachLeg(self.ident, state), fds)
        self._end_move()
        self._release_held()
        if not target.is_up:
            self.on_worker_lost()
        if self.is_closed and not self.taps:
            target.legs.pop(self.ident, None)

    @property
    def target(self) -> WorkerLink:
        """The worker where it is, or will be."""
        return self._target or self.link

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to another worker."""
        return self._target is not None

    def _end_move(self) -> None:
        if self._target is not None:
            self._target.arriving -= 1
            self._target = None
        if self._detached is not None and not self._detached.done():
            self._detached.set_result(None)
        self._detached = None

    def on_event(self, event: Any) -> None:
        """For the plane: an event of this leg."""
        match event:
            case m.DigitReceived():
                if self._on_digit is not None:
                    self._on_digit(event)
            case m.SourceEnded():
                playback = self.playbacks.pop(event.source, None)
                if playback is not None:
                    playback.on_ended(completed=event.completed, over_at=event.over_at)
            case m.TapClosed():
                tap = self.taps.get(event.tap)
                if tap is not None:
                    self._plane.flush(tap, event)
            case m.LegLeftMix():
                self.left_mix = event
            case m.LegHeard():
                if self.on_heard is not None:
                    self.on_heard(event)
            case m.LegSilent():
                if self._on_silent is not None:
                    self._on_silent(event.silent_s)

    def on_worker_lost(self) -> None:
        """For the plane: the worker is gone."""
        if self.is_lost:
            return
        self.is_lost = True
        self.mix = None
        self._end_move()
        self._held = None
        for playback in self.playbacks.values():
            playback.on_ended(completed=False)
        self.playbacks.clear()
        for tap in self.taps.values():
            if tap.flushing is None:
                self._plane.flush_lost(tap)
        if self._on_lost is not None and not self.is_closed:
            self._on_lost()
