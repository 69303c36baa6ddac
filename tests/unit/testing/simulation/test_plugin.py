"""The plugin as others have it: declared, small, and with the page's own example."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from voiceblocks.testing import pytest_plugin

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "testing-your-application.md").read_text(encoding="utf-8")
_WHAT_IT_LOADS = f"""
import pytest, sys
before = set(sys.modules)
import {pytest_plugin.__name__}
print(*sorted(set(sys.modules) - before))
"""
_CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_it_is_declared() -> None:
    """Installing Voiceblocks is all that is to be done: pytest finds the plugin by its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"voiceblocks": pytest_plugin.__name__}


def test_loading_it_imports_next_to_nothing() -> None:
    """Who does not use the fixture does not pay for it: no NumPy, no web framework, no database."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            _WHAT_IT_LOADS,
        ],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert loaded.stdout.split() == [
        "voiceblocks", "voiceblocks.testing", pytest_plugin.__name__
    ]  # fmt: skip


@pytest.mark.timeout(600)
def test_the_worked_example_works(tmp_path: Path) -> None:
    """The page's files, copied into a folder, pass; a wrong test shows what happened."""
    application, tests, several, options = _CODE.findall(PAGE)
    (tmp_path / "voicemail.py").write_text(application)
    (tmp_path / "test_voicemail.py").write_text(f"{tests}\n\n{several}\n")
    (tmp_path / "test_wrong.py").write_text(
        f"{options.replace('espeak', 'stand-in')}\n\n"
        "def test_wrong(voice):\n"
        "    voice.answer_with(lambda told: None)\n"
        "    voice.call('+6531580001')\n"
        "    assert voice.options.idle_timeout_s == 11\n"
    )
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-p", "no:voiceblocks", "-p", pytest_plugin.__name__,
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert "1 failed, 4 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "assert 10 == 11" in ran.stdout
    assert "voiceblocks" in ran.stdout
    assert "node         180 Ringing (INVITE)" in ran.stdout
