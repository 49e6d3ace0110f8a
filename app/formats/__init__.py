"""The formats of a table, one file each: rows in, bytes out."""

from importlib.util import find_spec
from typing import Any

import orjson

from app.formats import csv, json_stat, ndjson, parquet, sdmx_csv, xlsx
from app.formats.base import Format

TABLE_FORMATS: dict[str, Format] = {
    one.name: one
    for one in (csv.CSV, ndjson.NDJSON, parquet.PARQUET, xlsx.XLSX, json_stat.JSON_STAT, sdmx_csv.SDMX_CSV)
}
"""Formats of a whole table; JSON, which is always a page, is the envelope's own."""
JSON = "json"
JSON_MEDIA = ndjson.JSON_MEDIA
ARRAY = ndjson.ARRAY.name
WRITTEN = {**TABLE_FORMATS, ARRAY: ndjson.ARRAY}
"""Those and the bare array, which is JSON of another shape."""


def formats_of(record: str | None) -> list[str]:
    """Give the formats that a table has, JSON first; without a table, those that all have."""
    return [JSON, *(name for name, one in TABLE_FORMATS.items() if one.record in (None, record))]


def media_types(record: str | None) -> dict[str, str]:
    """Give every media type that can be asked of a table, with the format it means, the default first."""
    named = [TABLE_FORMATS[name] for name in formats_of(record) if name != JSON]
    return {JSON_MEDIA: JSON, **{media: one.name for one in named for media in one.accepts}}


def is_there(form: Format) -> bool:
    """Whether the library that a format is written with is installed."""
    return form.library is None or find_spec(form.library) is not None


def flat(value: Any) -> Any:
    """Give a value that a cell of text can hold: what is nested, an empty list too, as JSON."""
    return orjson.dumps(value).decode() if isinstance(value, dict | list | tuple) else value
