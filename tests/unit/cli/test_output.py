"""Tables of the command line are whole, however wide they are."""

from __future__ import annotations

import io
import sys

import pytest

from voiceblocks.cli.output import tell_rows

COLUMNS = ("id", "session", "started", "state")
ROW = {
    "id": "rec-1c0015018c9b8eb5a106df94f4da93fa",
    "session": "S-1-r8asjgf0p3xx1s2v",
    "started": "2026-11-30 20:46:40Z",
    "state": "[bold]ready",
}


class Terminal(io.StringIO):
    """A standard output that is looked at."""

    def isatty(self) -> bool:
        """Unlike a pipe."""
        return True


def test_a_pipe_gets_whole_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row is one line with every value whole, so that it can be searched and cut."""
    tell_rows(False, "recordings", COLUMNS, [ROW, ROW])
    lines = [line for line in capsys.readouterr().out.splitlines() if ROW["id"] in line]
    assert len(lines) == 2
    assert all(value in lines[0] for value in ROW.values())


@pytest.mark.parametrize(("columns", "is_table"), [("80", False), ("200", True)])
def test_a_terminal_gets_a_table_or_a_line_for_each_value(
    columns: str, is_table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal that is too narrow each value has a line; nothing is cut on either."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal)
    tell_rows(False, "recordings", COLUMNS, [ROW, {**ROW, "started": None}])
    said = terminal.getvalue()
    assert all(said.count(value) == 2 for name, value in ROW.items() if name != "started")
    assert ("┏" in said) is is_table
    assert max(map(len, said.splitlines())) <= int(columns)
    if not is_table:
        assert f"     id  {ROW['id']}\n" in said
