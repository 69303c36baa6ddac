"""What an INVITE says to a trunk."""

from __future__ import annotations

import pytest

from tests.unit.trunks.nouns import a_route, a_trunk
from voiceblocks.accounts.tokens import SecretKey, UnreadableSecret
from voiceblocks.errors import ContractViolation
from voiceblocks.sip.target import SipTarget
from voiceblocks.trunks.model import CallerIn, NumberFormat
from voiceblocks.trunks.numbers import read, written
from voiceblocks.trunks.outgoing import (
    Redirection,
    allowed_contacts,
    build_invite,
    build_registration,
)
from voiceblocks.trunks.route import route_of

DEST = "+6591234567"
CALLER = "+6531580000"
HERE = "198.51.100.1"


def test_a_trunk_that_knows_us_by_address() -> None:
    """The number stands at the trunk's domain, From at our host, and nothing else is said."""
    plan = build_invite(a_route(), DEST, CALLER, HERE)
    assert plan.request_uri == "sip:+6591234567@sip.carrier.example"
    assert plan.to == "<sip:+6591234567@sip.carrier.example>"
    assert plan.from_ == "<sip:+6531580000@198.51.100.1>"
    assert (plan.headers, plan.credentials) == ((), None)


def test_a_trunk_that_knows_us_as_customer() -> None:
    """With credentials, From carries the trunk's domain; port and transport are kept."""
    route = a_route(address="sip:192.0.2.9:5080;transport=tcp", username="u", password="p")
    plan = build_invite(route, DEST, CALLER, HERE)
    assert plan.request_uri == "sip:+6591234567@192.0.2.9:5080;transport=tcp"
    assert plan.from_ == "<sip:+6531580000@192.0.2.9>"
    assert plan.credentials == ("u", "p")
    assert "'p'" not in repr(plan)


@pytest.mark.parametrize(
    ("caller_in", "header"),
    [(CallerIn.PAI, "P-Asserted-Identity"), (CallerIn.PPI, "P-Preferred-Identity")],
)
def test_the_caller_in_an_identity_header(caller_in: CallerIn, header: str) -> None:
    """A trunk that reads identity headers gets the caller there as well."""
    plan = build_invite(a_route(caller_in=caller_in), DEST, CALLER, HERE)
    assert plan.headers == ((header, "<sip:+6531580000@198.51.100.1>"),)


@pytest.mark.parametrize("caller_in", CallerIn)
def test_a_caller_who_is_not_shown(caller_in: CallerIn) -> None:
    """Nothing in the INVITE of a private caller names a number of ours."""
    plan = build_invite(a_route(caller_in=caller_in), DEST, "private", HERE)
    assert plan.from_ == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert plan.headers == (("Privacy", "id"),)


@pytest.mark.parametrize(
    ("number", "number_format", "country", "wire"),
    [
        (DEST, NumberFormat.E164, "SG", "+6591234567"),
        (DEST, NumberFormat.PLAIN, "SG", "6591234567"),
        (DEST, NumberFormat.NATIONAL, "SG", "91234567"),
        ("+442079460000", NumberFormat.NATIONAL, "SG", "00442079460000"),
        ("+442079460000", NumberFormat.NATIONAL, "GB", "02079460000"),
        ("+16502530000", NumberFormat.NATIONAL, "US", "6502530000"),
        ("+442079460000", NumberFormat.NATIONAL, "US", "011442079460000"),
        (DEST, NumberFormat.NATIONAL, None, "006591234567"),
        ("+8881234567890", NumberFormat.NATIONAL, "SG", "008881234567890"),
    ],
)
def test_numbers_as_the_carrier_writes_them(
    number: str, number_format: NumberFormat, country: str | None, wire: str
) -> None:
    """Each format, and back."""
    assert written(number, number_format, country) == wire
    assert read(wire, number_format, country) == number


@pytest.mark.parametrize(
    ("username", "identity"),
    [
        ("acme", "<sip:acme@sip.carrier.example>"),
        ("acme@voip.example", "<sip:acme@voip.example>"),
        ("a b", "<sip:a%20b@sip.carrier.example>"),
    ],
)
def test_a_private_caller_of_a_customer(username: str, identity: str) -> None:
    """The identity is the address that we register, and no other header has anything of it."""
    route = a_route(caller_in=CallerIn.PAI, username=username, password="p")
    plan = build_invite(route, DEST, "private", HERE)
    assert plan.headers == (("Privacy", "id"), ("P-Asserted-Identity", identity))
    assert plan.from_ == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    assert username.partition("@")[0] not in plan.request_uri + plan.to


def test_a_customer_with_a_domain_of_its_own_calls_from_there() -> None:
    """The number stands in the domain that the user name names."""
    route = a_route(caller_in=CallerIn.PPI, username="acme@voip.example", password="p")
    plan = build_invite(route, DEST, "+6531580000", HERE)
    assert plan.from_ == "<sip:+6531580000@voip.example>"
    assert plan.headers == (("P-Preferred-Identity", "<sip:+6531580000@voip.example>"),)


def test_only_the_trunks_own_servers_are_followed() -> None:
    """Of a 3xx, contacts with another number, scheme or host are passed over."""
    targets = [SipTarget("192.0.2.9", 5060, "udp"), SipTarget("192.0.2.10", 5070, "tcp")]
    contacts = [
        "sip:+6591234567@203.0.113.5",
        "sip:+19005550100@192.0.2.9",
        "sips:+6591234567@192.0.2.9",
        "sip:+6591234567@192.0.2.9?Route=x",
        "tel:+6591234567",
        "no uri",
        "sip:+6591234567@192.0.2.10:5070;transport=udp",
        "sip:006591234567@192.0.2.10:5070;transport=tcp",
        "sip:+6591234567@192.0.2.9;user=phone",
        "sip:+6591234567@192.0.2.9",
    ]
    assert allowed_contacts(a_route(), DEST, contacts, targets) == (
        Redirection(contacts[7], targets[1]),
        Redirection(contacts[8], targets[0]),
    )


def test_the_route_of_a_trunk_has_its_password_in_clear() -> None:
    """Sealed for the trunk's id, and not shown by `repr`; another key cannot open it."""
    key = SecretKey.generate()
    trunk = a_trunk(username="u", sealed_password=key.seal("hunter2", "trk_1"), key_id=key.key_id)
    route = route_of(trunk, key)
    assert (route.username, route.password) == ("u", "hunter2")
    assert "hunter2" not in repr(route)
    assert route_of(a_trunk(), key).password is None
    with pytest.raises(UnreadableSecret):
        route_of(trunk, SecretKey.generate())
    # A changed key opens what the one before it sealed, as long as that is kept.
    assert route_of(trunk, SecretKey(SecretKey.generate().key, (key,))).password == "hunter2"


@pytest.mark.parametrize(
    ("username", "aor", "contact_user"),
    [
        ("acme", "sip:acme@sip.carrier.example", "acme"),
        ("acme@voip.example", "sip:acme@voip.example", "acme"),
        ("+6531580000", "sip:+6531580000@sip.carrier.example", "+6531580000"),
        ("a b", "sip:a%20b@sip.carrier.example", "a%20b"),
    ],
)
def test_what_is_registered(username: str, aor: str, contact_user: str) -> None:
    """The user name at the trunk's domain, or with a domain of its own."""
    route = a_route(
        address="sip:sip.carrier.example;transport=tcp", username=username, password="p"
    )
    plan = build_registration(route)
    assert plan.registrar == "sip:sip.carrier.example;transport=tcp"
    assert (plan.address, plan.contact_user) == (aor, contact_user)
    assert plan.credentials == (username, "p")
    assert "'p'" not in repr(plan)


def test_nothing_to_register_without_a_name() -> None:
    """The command line lets no such trunk through."""
    with pytest.raises(ContractViolation):
        build_registration(a_route())
