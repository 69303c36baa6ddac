"""Trunks in SQL, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from voiceblocks.database import trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import TrunkId
from voiceblocks.trunks.model import CallerIn, DialledIn, DtmfMode, NumberFormat, Trunk

FULL = Trunk(
    id=TrunkId("trk_2"),
    name="carrier",
    address="sip:sip.example.net:5080;transport=tcp",
    username="acme",
    sealed_password=b"\x00sealed\xff",
    key_id="0123456789abcdef",
    register=True,
    prefixes=("+65", "+60"),
    sources=("192.0.2.0/24", "198.51.100.1/32"),
    country="SG",
    number_format=NumberFormat.NATIONAL,
    dialled_in=DialledIn.P_CALLED_PARTY,
    caller_in=CallerIn.PAI,
    dtmf=DtmfMode.INFO,
    disabled_us=7,
    created_us=2,
)
BARE = Trunk(id=TrunkId("trk_1"), name="pbx", address="sip:192.0.2.9", created_us=3)


def insert(database: Database, *made: Trunk) -> None:
    """Insert these."""
    for trunk in made:
        database.run_sync(lambda c, trunk=trunk: trunks.insert(c, trunk))


def test_trunks_read_back_oldest_first(database: Database) -> None:
    """Full or bare, as they were inserted, disabled ones too."""
    insert(database, BARE, FULL)
    assert database.run_sync(trunks.list_trunks) == [FULL, BARE]
    assert database.run_sync(lambda c: trunks.find_by_name(c, "pbx")) == BARE
    assert database.run_sync(lambda c: trunks.find_by_name(c, "nobody")) is None


def test_names_are_unique(database: Database) -> None:
    """Also where two commands add the same name at once."""
    insert(database, BARE)
    other = Trunk(id=TrunkId("trk_9"), name="pbx", address="sip:192.0.2.9", created_us=3)
    with pytest.raises(IntegrityError):
        insert(database, other)


def test_disabled_and_enabled(database: Database) -> None:
    """One trunk changes, the others do not; an unknown name is said to be one."""
    insert(database, BARE, FULL)
    assert database.run_sync(lambda c: trunks.set_disabled(c, "pbx", 9))
    assert database.run_sync(lambda c: trunks.set_disabled(c, "carrier", None))
    assert [t.disabled_us for t in database.run_sync(trunks.list_trunks)] == [None, 9]
    assert not database.run_sync(lambda c: trunks.set_disabled(c, "nobody", 9))


def test_deleted(database: Database) -> None:
    """Only the named one; there is nothing to delete twice."""
    insert(database, BARE, FULL)
    assert database.run_sync(lambda c: trunks.delete(c, "pbx"))
    assert not database.run_sync(lambda c: trunks.delete(c, "pbx"))
    assert database.run_sync(trunks.list_trunks) == [FULL]
