"""The pytest plugin `voiceblocks`: the fixture `voice`, a simulated node with phones.

pytest loads this module in every project where Voiceblocks is installed, so it imports nothing
of it until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.node import Options
    from voiceblocks.testing.simulation.voice import Voice


@pytest.fixture
def voice_options() -> Options:
    """How the fixture `voice` is made: override it to change a seed, numbers or limits."""
    from voiceblocks.testing.simulation.node import Options

    return Options()


@pytest.fixture
def voice(voice_options: Options) -> Iterator[Voice]:
    """A node, phones and the application under test on a virtual clock, without a network."""
    from voiceblocks.testing.simulation.voice import Voice

    with Voice(voice_options) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show what happened in the simulation beside a failure that does not say so itself."""
    used = getattr(item, "funcargs", {}).get("voice")
    if used is not None and call.when == "call" and call.excinfo is not None:
        timeline = getattr(used, "timeline", None)
        if timeline is not None and "What happened:" not in str(call.excinfo.value):
            item.add_report_section("call", "voiceblocks", timeline.text())
    return (yield)
