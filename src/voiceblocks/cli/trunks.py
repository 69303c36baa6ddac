"""`voiceblocks trunk`."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceblocks.cli.output import Json, fail, moment, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import trunks
from voiceblocks.database.trunk_registrations import list_all
from voiceblocks.system_clock import SystemClock
from voiceblocks.trunks.model import RegistrationState, Trunk, TrunkRegistration
from voiceblocks.workflows import manage_trunks
from voiceblocks.workflows.manage_trunks import TrunkWishes

app = typer.Typer(no_args_is_help=True, help="Carriers and PBXs by which calls go out and come in.")

_COLUMNS = ("name", "address", "username", "registration", "prefixes", "from", "state")


@app.command("add")
def add_trunk(
    name: str,
    address: Annotated[str, typer.Option(help="sip:HOST[:PORT][;transport=tcp].")],
    username: Annotated[str | None, typer.Option(help="Our name at the carrier.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="First line is the password; without it you type it.")
    ] = None,
    register: Annotated[bool, typer.Option("--register", help="Register there.")] = False,
    prefix: Annotated[
        list[str] | None, typer.Option(help="Numbers that it carries, such as +65; else all.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="Network (CIDR) of its calls, beside its address."),
    ] = None,
    country: Annotated[str | None, typer.Option(help="For national numbers, such as SG.")] = None,
    number_format: Annotated[str, typer.Option(help="e164, plain or national.")] = "e164",
    did: Annotated[
        str, typer.Option(help="Where calls say what was dialled: ruri, to or p-called-party.")
    ] = "ruri",
    caller_id: Annotated[str, typer.Option(help="Where the caller stands: from, pai, ppi.")] = (
        "from"
    ),
    dtmf: Annotated[str, typer.Option(help="auto, rfc4733, info or inband.")] = "auto",
    as_json: Json = False,
) -> None:
    """Make a trunk; a running server uses it within seconds."""
    wishes = TrunkWishes(
        name=name,
        address=address,
        username=username,
        password=_password(as_json, username, password_file),
        register=register,
        prefixes=prefix or (),
        sources=sources or (),
        country=country,
        number_format=number_format,
        dialled_in=did,
        caller_in=caller_id,
        dtmf=dtmf,
    )
    with open_store(as_json) as store:
        key = store.key()
        made = store.run(
            lambda c: manage_trunks.add_trunk(c, key, wishes, now_us=SystemClock().utc_us())
        )
    carries = ", ".join(made.prefixes) or "every number"
    tell(as_json, _facts(made), f"Trunk {made.name} at {made.address} carries {carries}")


@app.command("set")
def set_trunk(
    name: str,
    address: Annotated[str | None, typer.Option(help="sip:HOST[:PORT][;transport=tcp].")] = None,
    username: Annotated[
        str | None, typer.Option(help="Our name at the carrier; none: it asks for none.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="First line is the password; else you type it.")
    ] = None,
    register: Annotated[bool | None, typer.Option(help="Whether to register there.")] = None,
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="Numbers that it carries, in place of those before; none: all."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="Networks of its calls, in place of those before; or none."),
    ] = None,
    country: Annotated[str | None, typer.Option(help="For national numbers; or none.")] = None,
    number_format: Annotated[str | None, typer.Option(help="e164, plain or national.")] = None,
    did: Annotated[str | None, typer.Option(help="ruri, to or p-called-party.")] = None,
    caller_id: Annotated[str | None, typer.Option(help="from, pai, ppi.")] = None,
    dtmf: Annotated[str | None, typer.Option(help="auto, rfc4733, info or inband.")] = None,
    as_json: Json = False,
) -> None:
    """Change what is named of a trunk; a running server uses it within seconds."""
    changes: dict[str, Any] = {
        "address": address,
        "register": register,
        "prefixes": _unless_none(prefix),
        "sources": _unless_none(sources),
        "number_format": number_format,
        "dialled_in": did,
        "caller_in": caller_id,
        "dtmf": dtmf,
    }
    changes = {field: value for field, value in changes.items() if value is not None}
    if country is not None:
        changes["country"] = None if country == "none" else country
    if username is not None:
        changes["username"] = None if username == "none" else username
    if changes.get("username") is not None or password_file is not None:
        changes["password"] = _password(as_json, changes.get("username"), password_file)
    with open_store(as_json) as store:
        key = store.key()
        changed = store.run(lambda c: manage_trunks.change_trunk(c, key, name, changes))
    _tell_trunk(as_json, changed)


@app.command("show")
def show_trunk(name: str, as_json: Json = False) -> None:
    """Show a trunk and how its registration stands; no password."""
    with open_store(as_json) as store:
        found, standing = store.run(lambda c: (manage_trunks.require_trunk(c, name), list_all(c)))
    now_us = SystemClock().utc_us()
    registrations = [_registration(one, now_us) for one in standing if one.trunk_id == found.id]
    _tell_trunk(as_json, found, registrations)


def _tell_trunk(
    as_json: bool, trunk: Trunk, registrations: list[dict[str, Any]] | None = None
) -> None:
    facts = _facts(trunk)
    words = facts | {
        "prefixes": " ".join(trunk.prefixes) or "all numbers",
        "from": " ".join(trunk.sources) or "its address only",
        "username": trunk.username or "none",
        "country": trunk.country or "none",
    }
    if registrations is not None:
        facts |= {"registrations": registrations}
        words |= {"registration": _in_words(trunk, registrations) or "none"}
    tell(as_json, facts, "\n".join(f"{name:16}{value}" for name, value in words.items()))


def _unless_none(given: list[str] | None) -> list[str] | None:
    """What was typed as a list; `none` alone is an empty one."""
    return [] if given == ["none"] else given


@app.command("list")
def list_trunks(as_json: Json = False) -> None:
    """Show all trunks, oldest first, and how their registrations stand; no passwords."""
    with open_store(as_json) as store:
        found, standing = store.run(lambda c: (trunks.list_trunks(c), list_all(c)))
    now_us = SystemClock().utc_us()
    of_trunk = {
        trunk.id: [_registration(one, now_us) for one in standing if one.trunk_id == trunk.id]
        for trunk in found
    }
    if as_json:
        rows = [_facts(trunk) | {"registrations": of_trunk[trunk.id]} for trunk in found]
        tell_rows(as_json, "trunks", (), rows)
        return
    shown = [
        _facts(trunk)
        | {
            "registration": _in_words(trunk, of_trunk[trunk.id]),
            "prefixes": " ".join(trunk.prefixes),
            "from": " ".join(trunk.sources),
        }
        for trunk in found
    ]
    tell_rows(as_json, "trunks", _COLUMNS, shown)


@app.command("remove")
def remove_trunk(name: str, as_json: Json = False) -> None:
    """Delete a trunk; calls that it carries now go on."""
    with open_store(as_json) as store:
        store.run(lambda c: manage_trunks.remove_trunk(c, name))
    tell(as_json, {"name": name, "state": "removed"}, f"Trunk {name} is gone")


@app.command("disable")
def disable_trunk(name: str, as_json: Json = False) -> None:
    """Take no new calls over a trunk, and end its registration; calls that it carries go on."""
    with open_store(as_json) as store:
        now_us = SystemClock().utc_us()
        store.run(lambda c: manage_trunks.disable_trunk(c, name, now_us=now_us))
    tell(as_json, {"name": name, "state": "disabled"}, f"Trunk {name} is disabled")


@app.command("enable")
def enable_trunk(name: str, as_json: Json = False) -> None:
    """Use a disabled trunk again."""
    with open_store(as_json) as store:
        store.run(lambda c: manage_trunks.disable_trunk(c, name, now_us=None))
    tell(as_json, {"name": name, "state": "enabled"}, f"Trunk {name} is enabled")


def _registration(one: TrunkRegistration, now_us: int) -> dict[str, Any]:
    """One node's, as it stood last; what its server did not refresh any more has lapsed."""
    registered = one.state is RegistrationState.REGISTERED
    has_lapsed = registered and (one.until_us or 0) <= now_us
    return {
        "node": one.node,
        "state": "lapsed" if has_lapsed else one.state.value,
        "reason": one.reason,
        "since": moment(one.changed_us),
        "until": None if one.until_us is None else moment(one.until_us),
    }


def _in_words(trunk: Trunk, registrations: list[dict[str, Any]]) -> str:
    if not trunk.register or trunk.disabled_us is not None:
        return ""
    if not registrations:
        return "no server runs"
    words = []
    for one in registrations:
        text = one["state"]
        if one["state"] == RegistrationState.REGISTERED:
            text += f" until {one['until']}"
        elif one["reason"]:
            text += f": {one['reason']}"
        words.append(text if len(registrations) == 1 else f"node {one['node']} {text}")
    return "; ".join(words)


def _password(as_json: bool, username: str | None, file: Path | None) -> str | None:
    """The password from its file, a prompt or a pipe; never from the command line, which shows."""
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            fail(as_json, f"The password file {file} cannot be read: {reason}")
        if not lines or not lines[0]:
            fail(
                as_json, f"The password file {file} is empty: write the password into its 1st line"
            )
        return lines[0]
    if username is None:
        return None
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {username}, empty for none: ")
    return sys.stdin.readline().rstrip("\r\n")


def _facts(trunk: Trunk) -> dict[str, Any]:
    return {
        "id": trunk.id,
        "name": trunk.name,
        "address": trunk.address,
        "username": trunk.username,
        "has_password": trunk.sealed_password is not None,
        "register": trunk.register,
        "prefixes": list(trunk.prefixes),
        "from": list(trunk.sources),
        "country": trunk.country,
        "number_format": trunk.number_format.value,
        "did": trunk.dialled_in.value,
        "caller_id": trunk.caller_in.value,
        "dtmf": trunk.dtmf.value,
        "state": "enabled" if trunk.disabled_us is None else "disabled",
    }
