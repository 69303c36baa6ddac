"""What a notification says, and how it is written into a URL and a body.

Real receivers read the query string or the body, some both, so both hold everything:
first the pass-on parameters of the notify_url, then ours. With ours last they win in
frameworks that keep the last of two values with one name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit, urlunsplit

from voiceblocks.money import Thousandths, format_amount

Pairs = list[tuple[str, str]]

# The original API tells every time in Singapore's, whoever asks.
_GMT_PLUS_8 = timezone(timedelta(hours=8))
# Everything that may stand in a URL as it is; the rest (blanks, UTF-8) is percent-encoded.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=-._~"
_BLANKED = "blanked"
_PERSONAL = frozenset({"digits"})
# In an answer that quotes a link the separators may be escaped once more.
_QUOTED_SIGNATURE = re.compile(
    r"((?:[?&]|&amp;|%3F|%26)Signature(?:=|%3D))[\w\-.~]+", re.IGNORECASE
)
_LINK_SIGNATURE = re.compile(r"(?<=[?&]Signature=)[^&#]*")


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What every notification of a call repeats."""

    session: str
    txn_ref: str
    from_number: str
    "Caller of an incoming call, E.164 or `private`."
    to_number: str
    "The number of ours that was called; for a dialled call the number that we called."
    dialled: bool = False
    "Whether we placed the call: then `dest` stands in place of `from` and `to`."


@dataclass(frozen=True, slots=True)
class EndedCall:
    """What is added once a call has ended."""

    ended_us: int
    duration_min: int
    currency: str
    rate: Thousandths
    "Sum of all legs that were answered."
    debit: Thousandths
    charge_id: str | None = None
    "Set where two notifications tell of one charge (decision 1)."
    call_end: str | None = None
    "What ended it where no side of the call did: `credit_used_up` or `server_restart`."


def encode(pairs: Sequence[tuple[str, str]]) -> str:
    """Form-encode: a blank becomes `+`, `+` becomes `%2B`, `:` becomes `%3A`, text is UTF-8."""
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


def target_url(url: str, parameters: str) -> str:
    """Return where the POST goes: `url` with `parameters` after the query that it already had.

    The query of `url` stays byte for byte, except that what cannot stand in a URL is
    percent-encoded. Its fragment is dropped.
    """
    parts = urlsplit(quote(url, safe=_URL_SAFE))
    query = f"{parts.query}&{parameters}" if parts.query else parameters
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))


def body(url: str, parameters: str) -> bytes:
    """Return the POST's body: the pass-on parameters of `url` and `parameters`, form-encoded."""
    return urlsplit(target_url(url, parameters)).query.encode("ascii")


def answer_parameters(call: CallFacts, *, tag: str = "") -> Pairs:
    """Parameters of the `answer` notification, sent while the call rings."""
    return block_parameters("answer", call, tag=tag, call_state="ringing")


def block_parameters(
    block: str,
    call: CallFacts,
    *,
    tag: str,
    call_state: str | None = None,
    specific: Sequence[tuple[str, str]] = (),
    ended: EndedCall | None = None,
) -> Pairs:
    """Parameters of a block's notification, in the documented order.

    Args:
        block: The `ivr_block`.
        call: Whose call.
        tag: The block's own; sent also when empty, since real clients read it unasked.
        call_state: `ringing` or `ongoing`; by default what `ended` says.
        specific: What only this block has, such as `record_status` and `record_url`.
        ended: Given once the call is over; `call_state` is `ended` then.
    """
    state = "ended" if ended is not None else (call_state or "ongoing")
    pairs = [("ivr_block", block), ("session", call.session), ("txn_ref", call.txn_ref)]
    if call.dialled:
        pairs.append(("dest", call.to_number))
    else:
        pairs += [("from", call.from_number), ("to", call.to_number)]
    pairs += [("tag", tag), ("call_state", state), *specific]
    if ended is not None:
        pairs += _ended_parameters(ended)
    return pairs


def call_parameters(
    *,
    txn_ref: str,
    tag: str,
    dests: Sequence[tuple[str, str]],
    ended: EndedCall,
) -> Pairs:
    """Parameters of the one notification of a `voice/call`: its end (spec 7.1).

    Args:
        txn_ref: Its transaction.
        tag: The request's own; sent also when empty.
        dests: The two numbers, each with how it was reached: `answered`, `busy`, …
        ended: How long it was and what it cost.
    """
    pairs = [("txn_ref", txn_ref), ("tag", tag)]
    pairs += [(f"call_status_dest{n}", status) for n, (_, status) in enumerate(dests, start=1)]
    pairs += [(f"dest{n}", dest) for n, (dest, _) in enumerate(dests, start=1)]
    return pairs + _ended_parameters(ended)


def participant_parameters(
    *, txn_ref: str, tag: str, room: str, dest: str, status: str, ended: EndedCall
) -> Pairs:
    """Parameters of the notification of a conference's participant, when it has left.

    The number stands there twice: as the conference's request calls it, and as the end of
    a `voice/call` does, so that one receiver reads both.
    """
    pairs = [("txn_ref", txn_ref), ("tag", tag), ("room", room), ("dest", dest)]
    pairs += [("call_status_dest1", status), ("dest1", dest)]
    return pairs + _ended_parameters(ended)


def _ended_parameters(ended: EndedCall) -> Pairs:
    pairs = [
        ("date", format_date(ended.ended_us)),
        ("duration", str(ended.duration_min)),
        ("currency", ended.currency),
        ("rate", format_amount(ended.rate)),
        ("debit", format_amount(ended.debit)),
    ]
    if ended.charge_id is not None:
        pairs.append(("charge_id", ended.charge_id))
    if ended.call_end is not None:
        pairs.append(("call_end", ended.call_end))
    return pairs


def format_date(at_us: int) -> str:
    """Return `YYYY-MM-DD HH:MM:SS` in GMT+8, cut to the second: clients break on fractions."""
    at = datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).astimezone(_GMT_PLUS_8)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def blanked(parameters: str) -> str:
    """Return form-encoded `parameters` without digits and link signatures (decision 8).

    Empty digits stay empty: that nothing was entered is no secret. Idempotent.
    """
    pairs = parse_qsl(parameters, keep_blank_values=True)
    return encode([(name, _blanked_value(name, value)) for name, value in pairs])


def _blanked_value(name: str, value: str) -> str:
    if name in _PERSONAL:
        return _BLANKED if value else ""
    return _LINK_SIGNATURE.sub(_BLANKED, value)


def blanked_answer(answer: str | None, parameters: str) -> str | None:
    """Return an application's answer without the digits and link signatures that it quotes.

    Args:
        answer: The first part of a body, or `None`.
        parameters: What the application had been sent.
    """
    if not answer:
        return answer
    for name, value in parse_qsl(parameters):
        if name in _PERSONAL:
            answer = re.sub(rf"(?<!\d){re.escape(value)}(?!\d)", _BLANKED, answer)
    return _QUOTED_SIGNATURE.sub(rf"\1{_BLANKED}", answer)


def with_fresh_links(parameters: str, sign_again: Callable[[str], str]) -> str:
    """Return form-encoded `parameters` with each link whose signature was blanked signed anew.

    Args:
        parameters: As `blanked` left them.
        sign_again: From such a link to one that holds.
    """
    pairs = parse_qsl(parameters, keep_blank_values=True)
    return encode(
        [(n, sign_again(v) if v.endswith(f"Signature={_BLANKED}") else v) for n, v in pairs]
    )
