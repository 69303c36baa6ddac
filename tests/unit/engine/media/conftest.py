"""A bench for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.engine.media.harness import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A worker on a made-up clock."""
    made = Bench(tmp_path)
    yield made
    made.close()
