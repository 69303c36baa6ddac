"""`txn_ref`: which transaction a request is about."""

from __future__ import annotations

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import TxnRef

_TXN_REF_MAX = 48


def _read_txn_ref(fields: Fields) -> TxnRef:
    text = fields.required("txn_ref").strip(" ")
    if not text or len(text) > _TXN_REF_MAX:
        raise InvalidRequest("error_txn_ref_invalid")
    return TxnRef(text)


TXN_REF = Parameter(
    "txn_ref",
    _read_txn_ref,
    ("error_txn_ref_param_missing", "error_txn_ref_invalid", "error_txn_ref_access_denied"),
    "The transaction, as it was answered or notified.",
    required=True,
)
