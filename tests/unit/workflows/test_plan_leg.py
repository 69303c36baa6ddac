"""What a call may use of the trunks that carry it."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.trunks.nouns import a_trunk
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.workflows.plan_leg import usable_routes

KEY, OTHER_KEY = SecretKey(bytes(32)), SecretKey(bytes([1]) * 32)


def test_a_trunk_whose_password_cannot_be_read_is_left_out() -> None:
    """The call is stored already, so it must run: by what else there is, or to its failure."""
    open_trunk = a_trunk(name="open")
    named = a_trunk(name="sealed", username="acme")
    sealed = replace(named, sealed_password=KEY.seal("secret", named.id))
    assert [r.name for r in usable_routes([sealed, open_trunk], KEY)] == ["sealed", "open"]
    assert [r.name for r in usable_routes([sealed, open_trunk], OTHER_KEY)] == ["open"]
