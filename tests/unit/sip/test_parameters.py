"""Parameters behind a `;`."""

from __future__ import annotations

import pytest

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.parameters import MAX_PARAMETERS, Parameters


def test_reading() -> None:
    """Names in any case, values with and without quotes, blanks around, empties skipped."""
    parameters = Parameters.parse(' ; Tag = a+b ;;lr;x="q;\\"r" ;')
    assert parameters.get("TAG") == "a+b"
    assert parameters.get("lr") is None
    assert "LR" in parameters
    assert "none" not in parameters
    assert 7 not in parameters
    assert parameters.get("x") == 'q;"r'
    assert len(parameters) == 3
    assert str(parameters) == ';Tag=a+b;lr;x="q;\\"r"'
    assert Parameters.parse(str(parameters)) == parameters


def test_changing() -> None:
    """A changed parameter stays in its place, a new one goes to the end, doubles collapse."""
    parameters = Parameters.of([("a", "1"), ("B", None), ("a", "2")])
    assert str(parameters.with_value("A", "3")) == ";a=3;B"
    assert str(parameters.with_value("c", None)) == ";a=1;B;a=2;c"
    assert str(parameters.without("b")) == ";a=1;a=2"
    assert str(Parameters()) == ""


@pytest.mark.parametrize("text", [";=x", ';a="', ";a" * (MAX_PARAMETERS + 1), ";" * 64000, ";x<"])
def test_refused(text: str) -> None:
    """Values without name, open quotes and floods are refused."""
    with pytest.raises(RemoteSipError):
        Parameters.parse(text)
