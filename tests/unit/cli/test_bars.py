"""Bars of long work: on standard error of a terminal, and nowhere else."""

from __future__ import annotations

import pytest

from voiceblocks.cli.bars import bar, shown


@pytest.mark.parametrize(
    ("terminal", "as_json", "seen"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_a_bar_is_for_people_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    as_json: bool,
    seen: bool,
) -> None:
    """It is drawn on standard error there, and never for a script; the items all come."""
    # What rich takes for a terminal's word.
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if terminal else "0")
    monkeypatch.setenv("TERM", "xterm")
    assert list(shown([1, 2, 3], "Writing", as_json=as_json)) == [1, 2, 3]
    with bar("Copying", as_json=as_json, facts=True) as progress:
        progress.update(progress.task_ids[0], completed=1, total=2, found="one")
    said = capsys.readouterr()
    assert ("Writing" in said.err, "Copying" in said.err, "one" in said.err) == (seen,) * 3
    assert said.out == ""
