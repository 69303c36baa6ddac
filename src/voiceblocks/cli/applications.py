"""`voiceblocks app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from voiceblocks.accounts.model import Application
from voiceblocks.cli import tokens
from voiceblocks.cli.output import Json, fail, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import change_account, disable, manage_accounts
from voiceblocks.workflows.disable import require_application

app = typer.Typer(no_args_is_help=True, help="Programs of a customer that drive calls.")
app.add_typer(tokens.app, name="token")

AppId = Annotated[str, typer.Argument(metavar="APP_ID")]


@app.command("create")
def create_application(account_id: str, name: str, as_json: Json = False) -> None:
    """Make an application; its access token is shown once."""
    with open_store(as_json) as store:
        key = store.key()
        made, token = store.run(
            lambda c: manage_accounts.create_application(
                c, key, account_id=account_id, name=name, now_us=SystemClock().utc_us()
            )
        )
    tell(
        as_json,
        {"app_id": made.id, "access_token": token},
        f"app_id        {made.id}\naccess_token  {token}   (shown once: keep it)",
    )


@app.command("set")
def set_application(
    app_id: AppId,
    keep_recordings_days: Annotated[
        str | None,
        typer.Option(help="Days that a recording is kept, 0 for ever; none: as the settings."),
    ] = None,
    silence_keys: Annotated[
        bool | None,
        typer.Option(help="Whether keys that are heard in new recordings become silence."),
    ] = None,
    seal_with: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Public X25519 key (PEM or hex): nobody but who has the private one can hear new "
            "recordings, see docs/sealed-recordings.md. none: they are not sealed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Change how an application's recordings are kept, and who can hear them."""
    key: bytes | Literal["none"] | None
    if seal_with is None:
        key = None
    elif seal_with == "none":
        key = "none"
    else:
        try:
            key = Path(seal_with).read_bytes()
        except OSError as error:
            fail(as_json, f"{seal_with} cannot be read: {error.strerror}")
    with open_store(as_json) as store:
        changed = store.run(
            lambda c: change_account.change_application(
                c,
                app_id=app_id,
                keep_recordings_days=keep_recordings_days,
                silences_keys=silence_keys,
                seal_with=key,
            )
        )
    facts = _application_facts(changed)
    days = changed.keep_recordings_days
    kept = {None: "as long as the settings say", 0: "for ever"}.get(days, f"for {days} days")
    keys = "silenced" if changed.silences_keys else "heard"
    sealed = "are not sealed" if changed.seal_for is None else "are sealed from the next one on"
    said = f"Recordings of {changed.id} are kept {kept}; keys in them are {keys}; they {sealed}"
    tell(as_json, facts, said)


@app.command("show")
def show_application(app_id: AppId, as_json: Json = False) -> None:
    """Show an application, what is done with its recordings, and its numbers."""
    with open_store(as_json) as store:
        found, numbers = store.run(
            lambda c: (
                require_application(c, app_id),
                [one.number for one in accounts.list_numbers(c, app_id)],
            )
        )
    facts = {
        **_application_facts(found),
        "account": found.account_id,
        "name": found.name,
        "state": "enabled" if found.revoked_us is None else "disabled",
        "numbers": numbers,
    }
    words = facts | {"numbers": " ".join(numbers) or "none"}
    words |= {name: "-" for name, value in words.items() if value is None}
    tell(as_json, facts, "\n".join(f"{name:22}{value}" for name, value in words.items()))


@app.command("disable")
def disable_application(app_id: AppId, as_json: Json = False) -> None:
    """Refuse everything that an application asks for, and calls to its numbers.

    What runs ends with its block: no next one is accepted.
    """
    _disable_application(as_json, app_id, SystemClock().utc_us())


@app.command("enable")
def enable_application(app_id: AppId, as_json: Json = False) -> None:
    """Let a disabled application work again, with the tokens that it has."""
    _disable_application(as_json, app_id, None)


def _disable_application(as_json: bool, app_id: str, at_us: int | None) -> None:
    with open_store(as_json) as store:
        store.run(lambda c: disable.disable_application(c, app_id, at_us))
    state = "enabled" if at_us is None else "disabled"
    tell(as_json, {"app_id": app_id, "state": state}, f"Application {app_id} is {state}")


def _application_facts(found: Application) -> dict[str, Any]:
    return {
        "app_id": found.id,
        "keep_recordings_days": found.keep_recordings_days,
        "silence_keys": found.silences_keys,
        "seal_with": None if found.seal_for is None else found.seal_for.hex(),
    }


@app.command("list")
def list_applications(as_json: Json = False) -> None:
    """Show all applications."""
    with open_store(as_json) as store:
        found = store.run(accounts.list_applications)
    rows = ({"app_id": a.id, "account": a.account_id, "name": a.name} for a in found)
    tell_rows(as_json, "applications", ("app_id", "account", "name"), rows)
