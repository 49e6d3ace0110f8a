"""The formats of a table, one file each: rows in, bytes out."""

from app.formats import csv, ndjson
from app.formats.base import Format

TABLE_FORMATS: dict[str, Format] = {one.name: one for one in (csv.CSV, ndjson.NDJSON)}
"""Formats that stream a whole table; JSON, which is always a page, is the envelope's own."""
JSON = "json"
JSON_MEDIA = "application/json"


def media_types() -> dict[str, str]:
    """Give every media type that can be asked, with the format it means, the default first."""
    return {JSON_MEDIA: JSON, **{media: one.name for one in TABLE_FORMATS.values() for media in one.accepts}}
