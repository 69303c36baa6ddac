"""The country of numbers to subscribe, as an application sends it."""

from __future__ import annotations

from voiceblocks.blocks.fields import Fields, Parameter


def _read_country(fields: Fields) -> str:
    return fields.required("country").strip(" ").upper()


COUNTRY = Parameter(
    "country",
    _read_country,
    ("error_country_param_missing",),
    "Two letters of ISO 3166-1, such as `SG`.",
    required=True,
)
