"""Price lists, numbers to let, trial accounts and the ledger, as operators use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_cli import data_dir, database_of, run

__all__ = ["data_dir"]

PRICES = """\
direction,prefix,currency,rate,block_s
inbound,,SGD,0.020,60
outbound,+65,SGD,0.040,60
outbound,+659,SGD,0.036,6
"""


def write(tmp_path: Path, text: str) -> str:
    """A file with this text."""
    path = tmp_path / "file.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_price_list_goes_in_and_comes_out(data_dir: Path, tmp_path: Path) -> None:
    """What is exported is what was loaded; a second file adds to it, or takes its place."""
    assert run("tariff", "load", write(tmp_path, PRICES)) == {"loaded": 3, "tariffs": 3}
    out = tmp_path / "out.csv"
    run("tariff", "export", str(out))
    assert out.read_text() == PRICES
    assert run("tariff", "export")["csv"] == PRICES
    # Spaces, another order, old words, no block length, and a byte order mark as Excel writes it.
    other = (
        "\ufeffprefix, rate, currency, direction\n+659, 0.1, sgd, Outgoing\n+1, 2, USD, outbound\n"
    )
    assert run("tariff", "load", write(tmp_path, other)) == {"loaded": 2, "tariffs": 4}
    rows = {(row["prefix"], row["currency"]): row for row in run("tariff", "list")["tariffs"]}
    assert rows["+659", "SGD"] == {
        "direction": "outbound",
        "prefix": "+659",
        "currency": "SGD",
        "rate": "0.100",
        "block_s": 60,
    }
    replaced = run("tariff", "load", write(tmp_path, PRICES), "--replace")
    assert replaced == {"loaded": 3, "tariffs": 3}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "direction, prefix, currency, rate is not among them"),
        ("direction,prefix,currency\n", "rate is not among them"),
        (PRICES + "sideways,+65,SGD,1,60\n", "Line 5: 'sideways' is neither inbound nor outbound"),
        (PRICES + "outbound,65,SGD,1,60\n", "Line 5: '65' is not a prefix"),
        (PRICES + "outbound,+66,XXX,1,60\n", "Line 5: 'XXX' is not a currency"),
        (PRICES + "outbound,+66,SGD,0.0001,60\n", "Line 5: '0.0001' is not an amount"),
        (PRICES + "outbound,+66,SGD,-1,60\n", "Line 5: '-1' is not a rate"),
        (PRICES + "outbound,+66,SGD,1,0\n", "Line 5: '0' is not the length of a block"),
        (PRICES + "outbound,+66,SGD\n", "Line 5: '' is not an amount"),
        (PRICES + "outbound,+66,SGD,1,60,9\n", "Line 5: more columns"),
        (PRICES + "outbound,+65,SGD,1,60\n", "two lines for the tariff outbound +65 SGD"),
    ],
)
def test_a_wrong_price_list_changes_nothing(
    data_dir: Path, tmp_path: Path, lines: str, words: str
) -> None:
    """The line is named, and none of the file is taken."""
    run("tariff", "load", write(tmp_path, "direction,prefix,currency,rate\ninbound,,SGD,1\n"))
    before = run("tariff", "list")
    error = run("tariff", "load", write(tmp_path, lines), exit_code=1)["error"]
    assert words in error
    assert run("tariff", "list") == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("direction,prefix,currency,rate\ninbound,,SGD,1\xe9".encode("latin-1"), "`CSV UTF-8`"),
        ("direction,prefix,currency,rate\n".encode("utf-16"), "`CSV UTF-8`"),
        (b'direction,prefix,currency,rate\ninbound,,SGD,"1\n', "unexpected end of data"),
    ],
)
def test_a_file_that_is_no_csv_is_said(
    data_dir: Path, tmp_path: Path, content: bytes, words: str
) -> None:
    """Also where it was cut off within its last value, which would be another one."""
    file = tmp_path / "prices.csv"
    file.write_bytes(content)
    assert words in run("tariff", "load", str(file), exit_code=1)["error"]
    assert run("tariff", "list")["tariffs"] == []


def test_numbers_to_let(data_dir: Path, tmp_path: Path) -> None:
    """Loaded once, however often; with their prices; and taken out again."""
    stock = write(
        tmp_path, "number,state,state_name\n+65 3158 0001,,\n+12135550123,ca,California\n"
    )
    assert run("number", "load", stock) == {"added": 2, "known": 0}
    assert run("number", "load", stock) == {"added": 0, "known": 2}
    assert run("number", "stock")["stock"] == [
        {"number": "+12135550123", "country": "US", "state": "CA", "status": "free"},
        {"number": "+6531580001", "country": "SG", "state": "", "status": "free"},
    ]
    rates = write(tmp_path, "country,months,currency,rate\nsg,12,SGD,40\n")
    assert run("number", "rates", rates) == run("number", "rates")
    assert run("number", "rates")["rates"] == [
        {"country": "SG", "months": 12, "currency": "SGD", "rate": "40.000"}
    ]
    wrong = write(tmp_path, "country,months,currency,rate\nSG,2,SGD,40\n")
    assert "choose 1, 3, 12 months" in run("number", "rates", wrong, exit_code=1)["error"]
    run("number", "withdraw", "+6531580001")
    assert len(run("number", "stock")["stock"]) == 1
    error = run("number", "withdraw", "+6531580001", exit_code=1)["error"]
    assert "is not in the stock" in error


def test_a_trial_ends_with_the_first_payment(data_dir: Path) -> None:
    """Its first credit is a present, what was paid comes beside it, and the ledger has all."""
    account = run("account", "create", "Looking", "--trial", "--credit", "5")["account_id"]
    shown = run("account", "show", account)
    assert (shown["status"], shown["points"], shown["bonus"]) == ("trial", "0.000", "5.000")
    assert run("account", "set", account, "--bonus-add=1")["status"] == "trial"
    shown = run("account", "set", account, "--credit-add=20")
    assert (shown["status"], shown["points"], shown["bonus"]) == ("active", "20.000", "6.000")
    assert run("account", "set", account, "--trial")["status"] == "trial"
    assert run("account", "set", account, "--no-trial")["status"] == "active"
    run("account", "set", account, "--credit-add=-3")
    entries = run("ledger", "list", account)["entries"]
    assert sorted((entry["kind"], entry["amount"]) for entry in entries) == [
        ("adjustment", "3.000"),
        ("bonus", "1.000"),
        ("bonus", "5.000"),
        ("top_up", "20.000"),
    ]
    assert run("ledger", "check") == {"books": "balanced"}
    assert "There is no account" in run("ledger", "list", "acc_x", exit_code=1)["error"]


def test_a_difference_is_found(data_dir: Path) -> None:
    """Whoever changes an account's credit behind the ledger's back is told of."""
    account = run("account", "create", "Demo", "--credit", "5")["account_id"]
    database = database_of(data_dir)
    statement = "UPDATE accounts SET credit = credit + 1"
    database.run_sync(lambda c: c.exec_driver_sql(statement))
    database.close()
    error = run("ledger", "check", exit_code=1)["error"]
    assert error == (
        f"{account} has 5.001 points and 0.000 bonus, "
        "and its books say 5.000 points and 0.000 bonus"
    )
