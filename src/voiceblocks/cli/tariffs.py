"""`voiceblocks tariff`: what calls cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceblocks.billing.model import Tariff
from voiceblocks.cli.output import Json, read_table, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import tariffs
from voiceblocks.money import format_amount
from voiceblocks.workflows import manage_tariffs

app = typer.Typer(no_args_is_help=True, help="Prices of calls, by direction and prefix.")


@app.command("load")
def load(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with direction,prefix,currency,rate and, if you like, block_s.",
            exists=True,
            dir_okay=False,
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop the tariffs that are not in the file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take over a price list, as a whole or not at all; running calls keep their price."""
    with open_store(as_json) as store:
        text = read_table(file)
        loaded, total = store.run(
            lambda c: (
                manage_tariffs.load_tariffs(c, text, replaces_all=replace),
                len(tariffs.list_tariffs(c)),
            )
        )
    facts = {"loaded": len(loaded), "tariffs": total}
    tell(as_json, facts, f"{len(loaded)} tariffs loaded; there are {total} now")


Direction = Annotated[str, typer.Argument(help="inbound or outbound.")]
Currency = Annotated[str, typer.Option(help="ISO code, such as SGD.")]


@app.command("set")
def set_one(
    direction: Direction,
    prefix: Annotated[str, typer.Argument(help='Such as +65; "" for all numbers.')],
    rate: Annotated[str, typer.Argument(help="Of a minute, such as 0.020.")],
    currency: Currency = "SGD",
    block_s: Annotated[str, typer.Option(help="Length of a billing block in seconds.")] = "60",
    as_json: Json = False,
) -> None:
    """Make a tariff, or change the one that there is; running calls keep their price."""
    with open_store(as_json) as store:
        tariff = store.run(
            lambda c: manage_tariffs.set_tariff(c, direction, prefix, currency, rate, block_s)
        )
    facts = _facts(tariff)
    whom = tariff.prefix or "all numbers"
    said = f"{tariff.direction} {whom}: {facts['rate']} {tariff.currency} a minute"
    tell(as_json, facts, said)


@app.command("show")
def show(
    direction: Direction,
    number: Annotated[str, typer.Argument(help="Whom a call is to, such as +6591234567.")],
    currency: Currency = "SGD",
    as_json: Json = False,
) -> None:
    """Show what a call to a number costs now, and by which tariff."""
    with open_store(as_json) as store:
        price, tariff = store.run(
            lambda c: manage_tariffs.show_price(c, direction, number, currency)
        )
    by = "default" if tariff is None else tariff.prefix or "all numbers"
    facts = {"rate": format_amount(price.rate), "block_s": price.block_s, "tariff": by}
    said = f"{facts['rate']} {currency} a minute, in blocks of {price.block_s} s, by: {by}"
    tell(as_json, facts, said)


@app.command("remove")
def remove(
    direction: Direction,
    prefix: Annotated[str, typer.Argument(help='Such as +65; "" for all numbers.')],
    currency: Currency = "SGD",
    as_json: Json = False,
) -> None:
    """Use a tariff no longer: the next shorter prefix counts; running calls keep their price."""
    with open_store(as_json) as store:
        tariff = store.run(lambda c: manage_tariffs.remove_tariff(c, direction, prefix, currency))
    tell(as_json, _facts(tariff), f"{tariff.direction} {tariff.prefix or 'all numbers'} is gone")


def _facts(tariff: Tariff) -> dict[str, Any]:
    return {
        "direction": tariff.direction,
        "prefix": tariff.prefix,
        "currency": tariff.currency,
        "rate": format_amount(tariff.rate),
        "block_s": tariff.block_s,
    }


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """Show all tariffs; a call's is the one with the longest prefix."""
    with open_store(as_json) as store:
        found = store.run(tariffs.list_tariffs)
    rows = (_facts(tariff) for tariff in found)
    tell_rows(as_json, "tariffs", manage_tariffs.COLUMNS, rows)


@app.command("export")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; the screen if omitted.")] = None,
    as_json: Json = False,
) -> None:
    """Write the price list as CSV, as `load` reads it."""
    with open_store(as_json) as store:
        found = store.run(tariffs.list_tariffs)
        text = manage_tariffs.export_tariffs(found)
        if file is not None:
            file.write_text(text, encoding="utf-8")
    if file is not None:
        tell(as_json, {"tariffs": len(found), "file": str(file)}, f"{len(found)} tariffs: {file}")
    elif as_json:
        tell(as_json, {"tariffs": len(found), "csv": text}, "")
    else:
        sys.stdout.write(text)
