"""A ladder is a picture that fits into its width, whatever is in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.stories.ladder import NOTE, Ladder, Rung, as_text
from voiceblocks.stories.model import SipMessage
from voiceblocks.stories.sip_words import summary_of, with_repeats

BEGAN_US = 1_700_000_000_000_000

_DRAWN = """\
              caller                              voiceblocks                           application
                 │                                     │                                     │
   +0.000        ├────────────── INVITE ──────────────▶┤                                     │
   +0.012        ├◀────── 100 Trying (INVITE) ─────────┤                                     │
   +0.020        │                                     ├────────── 1 answer: 200 ───────────▶┤
   +0.500        │                                     ├◀─────── record: success_ok ─────────┤
   +0.900        ├╌╌╌╌╌╌╌╌╌╌╌╌╌╌ INVITE ╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶┤                                     │
   +9.000  ╶ ended: The caller hung up during record.
"""


def test_a_short_call() -> None:
    """Lifelines, arrows with their heads, a repeat in dashes, a remark: line by line."""
    columns = ("caller", "voiceblocks", "application")
    rungs = (
        Rung(BEGAN_US, "sip", "INVITE", 0, 1),
        Rung(BEGAN_US + 12_000, "sip", "100 Trying (INVITE)", 1, 0),
        Rung(BEGAN_US + 20_000, "notification", "1 answer: 200", 1, 2),
        Rung(BEGAN_US + 500_000, "api", "record: success_ok", 2, 1),
        Rung(BEGAN_US + 900_000, "sip", "INVITE", 0, 1, is_repeat=True),
        Rung(BEGAN_US + 9_000_000, NOTE, "ended: The caller hung up during record."),
    )
    drawn = "\n".join(as_text(Ladder(BEGAN_US, columns, rungs))) + "\n"
    assert drawn == _DRAWN


_columns = st.lists(st.text("abc \u00e9", max_size=30), min_size=2, max_size=7)


@given(_columns, st.data())
def test_no_line_is_too_long_and_all_lifelines_stand(names: list[str], data: st.DataObject) -> None:
    """With any labels and up to seven columns it stays in 100 columns; arrows touch both ends."""
    column = st.integers(0, len(names) - 1)
    label = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=120)
    rung = st.builds(
        Rung,
        st.integers(BEGAN_US - 10**6, BEGAN_US + 10**10),
        st.sampled_from(["sip", NOTE]),
        label,
        column,
        column,
        st.booleans(),
    )
    rungs = tuple(data.draw(st.lists(rung, max_size=6)))
    for line, shown in zip(as_text(Ladder(BEGAN_US, tuple(names), rungs))[2:], rungs, strict=True):
        assert len(line) <= 100
        if shown.kind != NOTE and shown.source != shown.target:
            assert line.count("▶") + line.count("◀") - shown.label.count("▶") <= 2
            assert "├" in line
            assert "┤" in line


def test_a_long_one_is_shortened_in_its_middle() -> None:
    """The beginning and the end are what people look for; the rest is counted."""
    rungs = tuple(Rung(BEGAN_US + n, "sip", str(n), 0, 1) for n in range(100))
    short = Ladder(BEGAN_US, ("a", "b"), rungs).shortened(10, 20)
    assert [rung.label for rung in short.rungs][9:12] == ["9", "70 more are in the JSON", "80"]
    assert short.rungs[-1].label == "99"
    assert Ladder(BEGAN_US, ("a", "b"), rungs[:30]).shortened(10, 20).rungs == rungs[:30]


@given(st.binary(max_size=200))
def test_any_bytes_have_a_label(data: bytes) -> None:
    """What is no SIP is shown as such, and never as a control character."""
    assert summary_of(data).label.isprintable()


def test_methods_answers_and_repeats() -> None:
    """A response is named with what it answers; the same bytes the same way are a repeat."""
    invite = b"INVITE sip:a@b SIP/2.0\r\nCSeq: 7 INVITE\r\n\r\n"
    busy = b"SIP/2.0 486 Busy Here\r\ncseq : 7  INVITE\r\n\r\n"
    assert summary_of(invite).label == "INVITE"
    assert summary_of(busy).label == "486 Busy Here (INVITE)"
    assert summary_of(busy).cseq == 7

    def message(data: bytes, *, incoming: bool) -> SipMessage:
        return SipMessage(1, "", incoming, "udp", ("a", 1), ("b", 2), data, len(data))

    sent = [message(invite, incoming=True), message(invite, incoming=False)]
    sent += [message(busy, incoming=False), message(invite, incoming=True)]
    assert [again for _, again in with_repeats(sent)] == [False, False, False, True]
