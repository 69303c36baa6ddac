"""What all tests share: no settings from outside, databases, and Hypothesis profiles."""

from __future__ import annotations

import contextlib
import gc
import os
import tracemalloc

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import database_url, postgres_url
from voiceblocks.testing import pytest_plugin

# pytest imports it inside its hook for unraisable errors, where a second one that comes in the
# middle of the import finds half a module and fails a test that has nothing to do with it.
assert tracemalloc

__all__ = ["database_url", "postgres_url"]

for _name in [name for name in os.environ if name.startswith("VOICEBLOCKS_")]:
    del os.environ[_name]

# The machines are noisy: a slow example is not a wrong one.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("default")


def pytest_configure(config: pytest.Config) -> None:
    """Load our own plugin, where it is not installed as one: in a worktree, say."""
    if not config.pluginmanager.has_plugin("voiceblocks"):
        config.pluginmanager.register(pytest_plugin, "voiceblocks")
    if hasattr(config, "workerinput"):
        _be_on_time()


def _be_on_time() -> None:
    """
    Let this worker of pytest-xdist have its turn when its phones have to speak.

    Linux shares processors among sessions first (sched(7), autogroups). All workers in one session
    would get together what each process of each server gets alone: phones that stop for half a
    second measure nothing.
    """
    with contextlib.suppress(OSError):
        os.setsid()


def pytest_collection_finish() -> None:
    """
    Leave modules and tests out of garbage collections.

    A full one takes some 200 ms, in which the phones of a test say and hear nothing.
    """
    gc.freeze()
