"""`voiceblocks calls`: which calls there were, and the story of one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceblocks import e164
from voiceblocks.blocks.numbers import PRIVATE
from voiceblocks.cli.output import Json, Most, fail, tell, tell_rows, write_private
from voiceblocks.cli.store import open_store
from voiceblocks.database import sessions
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.stories.ladder import as_text
from voiceblocks.workflows.draw_ladder import ladder_of
from voiceblocks.workflows.export_story import (
    VERSION,
    moment_rows,
    moment_text,
    story_capture,
    story_json,
)
from voiceblocks.workflows.story_troubles import troubles_of
from voiceblocks.workflows.tell_story import Story, tell_story

app = typer.Typer(no_args_is_help=True, help="Calls, and the story of one.")

COLUMNS = ("txn_ref", "session", "started", "from", "to", "state", "disposition", "minutes")


@app.command("list")
def list_calls(
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Show the newest calls."""
    with open_store(as_json) as store:
        found = store.run(lambda c: sessions.recent(c, most))
    tell_rows(as_json, "calls", COLUMNS, (_row(session) for session in found))


@app.command("show")
def show(
    session_or_txn: str,
    ladder: Annotated[
        bool, typer.Option("--ladder", help="Draw who said what to whom, 100 columns wide.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tell what happened in one call, in order."""
    story = _story(session_or_txn, as_json)
    if as_json:
        told = {"why": story.why, "version": VERSION, "story": moment_rows(story)}
        tell(as_json, told, "")
        return
    troubles = [trouble.what for trouble in troubles_of(story)]
    lines = as_text(ladder_of(story)) if ladder else _lines(story)
    began = f"+0 is {moment_text(story.began_us)}"
    sys.stdout.write("\n".join([story.why, *troubles, began, *lines]) + "\n")


def _lines(story: Story) -> Iterator[str]:
    """A line for each moment, as long as it is."""
    for moment in story.moments:
        yield f"{(moment.at_us - story.began_us) / 1e6:+10.3f}  {moment.what}"


@app.command("export")
def export(
    session_or_txn: str,
    pcap: Annotated[
        Path | None, typer.Option("--pcap", help="Write its SIP messages here, for Wireshark.")
    ] = None,
    document: Annotated[
        Path | None, typer.Option("--json", help="Write its whole story here, as JSON.")
    ] = None,
) -> None:
    """
    Write one call's story into files.

    Numbers stand in them in full, so only you can read the files.
    """
    if pcap is None and document is None:
        fail(False, "Say what to write: --pcap FILE, --json FILE, or both.")
    story = _story(session_or_txn, as_json=False, show_number=str)
    made: list[tuple[Path | None, Callable[[], bytes]]] = [
        (pcap, lambda: story_capture(story)),
        (document, lambda: story_json(story).encode()),
    ]
    for path, content in made:
        if path is not None:
            try:
                write_private(path, content())
            except OSError as error:
                fail(False, f"{path} cannot be written: {error.strerror or error}")
            sys.stdout.write(f"Wrote {path}. It holds phone numbers in full.\n")


def _story(
    session_or_txn: str, as_json: bool, show_number: Callable[[str], str] | None = None
) -> Story:
    with open_store(as_json) as store:
        story = store.run(
            lambda c: tell_story(c, session_or_txn, show_number=show_number or _masked)
        )
        if story is None:
            fail(as_json, f"There is no call {session_or_txn}: see `voiceblocks calls list`")
        return story


def _row(session: Session) -> dict[str, Any]:
    return {
        "txn_ref": session.txn_ref,
        "session": session.id,
        "started": moment_text(session.created_us),
        "from": _masked(session.from_number),
        "to": _called(session),
        "state": session.state.value,
        "disposition": session.disposition,
        "minutes": session.duration_min,
    }


def _called(session: Session) -> str:
    """Our own number as it is; somebody's whom we called, masked."""
    is_ours = session.direction is Direction.INBOUND
    return session.to_number if is_ours else _masked(session.to_number)


def _masked(number: str) -> str:
    return number if number == PRIVATE else e164.masked(number)
