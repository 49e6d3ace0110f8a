"""The formats of a table, one file each: rows in, bytes out."""

from typing import Any

import orjson

from app.formats import csv, ndjson
from app.formats.base import Format

TABLE_FORMATS: dict[str, Format] = {one.name: one for one in (csv.CSV, ndjson.NDJSON)}
"""Formats that stream a whole table; JSON, which is always a page, is the envelope's own."""
FLAT_FORMATS = frozenset({csv.CSV.name})
"""Those whose cells hold no object: its members are columns."""
JSON = "json"
JSON_MEDIA = "application/json"


def media_types() -> dict[str, str]:
    """Give every media type that can be asked, with the format it means, the default first."""
    return {JSON_MEDIA: JSON, **{media: one.name for one in TABLE_FORMATS.values() for media in one.accepts}}


def flat(value: Any) -> Any:
    """Give a value that a cell can hold: what is nested as JSON."""
    nested = isinstance(value, dict) or (isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value))
    return orjson.dumps(value).decode() if nested else value
