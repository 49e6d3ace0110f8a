"""CSV as RFC 4180 has it, in UTF-8; a text cell that a spreadsheet would run is neutralised."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from app.formats.base import Format

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: Any) -> Any:
    """Give what a cell shows: a list joined by `;`, truth in small letters, text that is no formula."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return cell(";".join(map(str, value)))
    return value


def start(columns: Sequence[str]) -> bytes:
    """Give the header line, which an empty table has too."""
    return lines([columns])


def rows(_: Sequence[str], found: Iterable[Sequence[Any]]) -> bytes:
    """Give the lines of rows."""
    return lines([cell(value) for value in row] for row in found)


def lines(found: Iterable[Sequence[Any]]) -> bytes:
    """Write lines that end in CR LF."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows(found)
    return buffer.getvalue().encode()


CSV = Format("csv", "text/csv; charset=utf-8; header=present", ("text/csv",), start, rows)
