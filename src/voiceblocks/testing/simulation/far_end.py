"""Who is called in a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from voiceblocks.testing.answering import BUSY, Answer, Behaviour, Refuse, RingForever
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.simulation.calls import AsyncScriptedCall, ScriptedCall

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.voice import Voice


class FarEnd:
    """
    Who is called: a number behind the simulated carrier; made by `Voice.phone`.

    Until it is told otherwise it answers at once.
    """

    def __init__(self, voice: Voice, trunk: FakeTrunk, number: str) -> None:
        self._voice = voice
        self._trunk = trunk
        self.number = number
        self.behaves(Answer())

    def behaves(self, behaviour: Behaviour) -> Self:
        """Anything of `testing.answering`."""
        self._trunk.route(self.number, behaviour)
        return self

    def answers(self, after_rings: float = 0.0) -> Self:
        """Picks up, after so many rings of four seconds each."""
        return self.behaves(Answer(rings=after_rings))

    def is_busy(self) -> Self:
        """Says that it is busy."""
        return self.behaves(BUSY)

    def does_not_answer(self) -> Self:
        """Rings for ever."""
        return self.behaves(RingForever())

    def refuses(self, status: int) -> Self:
        """Refuses with a SIP status."""
        return self.behaves(Refuse(status=status))

    async def rings_async(self, limit_s: float = 60.0) -> AsyncScriptedCall:
        """The next call that reaches it; for scripts that are coroutines."""
        try:
            call = await self._trunk.incoming(limit_s, self.number)
        except TimeoutError as error:
            raise self._voice.failure(
                f"nobody called {self.number} within {limit_s:g} s"
            ) from error
        return AsyncScriptedCall(self._voice, call, self.number)

    def rings(self, limit_s: float = 60.0) -> ScriptedCall:
        """The next call that reaches it; it may be answered by then, as it was told."""
        return ScriptedCall(self._voice, self._voice.run(self.rings_async(limit_s)))
