"""Newline-delimited JSON: one object a line, nothing around them."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from app.formats.base import Format


def start(_: Sequence[str]) -> bytes:
    """Give nothing: there is no header."""
    return b""


def rows(columns: Sequence[str], found: Iterable[Sequence[Any]]) -> bytes:
    """Give one object a line."""
    return b"".join(orjson.dumps(dict(zip(columns, row, strict=True))) + b"\n" for row in found)


NDJSON = Format("ndjson", "application/x-ndjson", ("application/x-ndjson", "application/jsonl"), start, rows)
