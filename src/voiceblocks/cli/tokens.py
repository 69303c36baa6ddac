"""`voiceblocks app token`: rotate what an application proves itself with."""

from __future__ import annotations

from typing import Annotated

import typer

from voiceblocks.accounts.model import AccessToken
from voiceblocks.cli.output import Json, moment, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import rotate_tokens

app = typer.Typer(no_args_is_help=True, help="An application's access tokens.")

AppId = Annotated[str, typer.Argument(metavar="APP_ID")]

COLUMNS = ("token", "made", "expires", "state")


@app.command("add")
def add(
    app_id: AppId,
    days: Annotated[int | None, typer.Option(min=1, help="Good so long; else for ever.")] = None,
    as_json: Json = False,
) -> None:
    """Make another token, shown once; the old ones stay good until they are revoked."""
    with open_store(as_json) as store:
        key = store.key()
        name, text = store.run(
            lambda c: rotate_tokens.add_token(
                c, key, app_id=app_id, days=days, now_us=SystemClock().utc_us()
            )
        )
    facts = {"app_id": app_id, "token": name, "access_token": text}
    tell(as_json, facts, f"access_token  {text}   (shown once: keep it)   revoke it as {name}")


@app.command("list")
def list_tokens(app_id: AppId, as_json: Json = False) -> None:
    """Show an application's tokens by the names under which they are revoked."""
    with open_store(as_json) as store:
        found = store.run(lambda c: rotate_tokens.list_tokens(c, app_id))
    now_us = SystemClock().utc_us()
    rows = (
        {
            "token": rotate_tokens.name_of(one),
            "made": moment(one.created_us),
            "expires": None if one.expires_us is None else moment(one.expires_us),
            "state": _state(one, now_us),
        }
        for one in found
    )
    tell_rows(as_json, "tokens", COLUMNS, rows)


@app.command("revoke")
def revoke(app_id: AppId, token: str, as_json: Json = False) -> None:
    """Make a token worthless at once."""
    with open_store(as_json) as store:
        store.run(
            lambda c: rotate_tokens.revoke_token(
                c, app_id=app_id, name=token, now_us=SystemClock().utc_us()
            )
        )
    tell(as_json, {"app_id": app_id, "revoked": token}, f"Token {token} is worthless now")


def _state(token: AccessToken, now_us: int) -> str:
    if token.revoked_us is not None:
        return "revoked"
    return "good" if token.is_valid(now_us) else "expired"
