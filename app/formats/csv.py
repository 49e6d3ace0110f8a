"""CSV as RFC 4180 has it, in UTF-8; a text cell that a spreadsheet would run is neutralised."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.formats.base import Columns, Format, Kind, Whole

FORMULA = ("=", "+", "-", "@", "\t", "\r")
QUOTED = re.compile(r'[",\r\n]')
TRUTHS = {None: "", True: "true", False: "false"}


class CsvWriter(Whole):
    """Lines that end in CR LF, after a header line, which an empty table has too."""

    def start(self) -> bytes:
        """Give the header line."""
        return lines([[quoted(name) for name in self.names]])

    def rows(self, columns: Columns) -> bytes:
        """Give the lines of rows."""
        return lines(zip(*map(cells, self.kinds, columns), strict=True))


def cells(kind: Kind, values: Sequence[Any]) -> Iterable[str]:
    """Give the cells of a column: a list joined by `;`, truth in small letters, text that is no formula."""
    if kind is Kind.TRUTH:
        return map(TRUTHS.__getitem__, values)
    if kind is Kind.LIST:
        values = [";".join(value) if value else None for value in values]
    # How a value is written is settled once, however many rows have it.
    distinct = set(values)
    if kind in (Kind.INTEGER, Kind.NUMBER) and len(distinct) * 2 > len(values):
        return ["" if value is None else repr(value) for value in values]
    return map({value: cell(value) for value in distinct}.__getitem__, values)


def cell(value: Any) -> str:
    """Give one cell; a day and a moment as ISO 8601 has them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return quoted(f"'{value}" if value.startswith(FORMULA) else value)
    return repr(value) if isinstance(value, int | float) else value.isoformat()


def quoted(text: str) -> str:
    """Put text into quotes where it needs them."""
    return '"' + text.replace('"', '""') + '"' if QUOTED.search(text) else text


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Write lines that end in CR LF."""
    found = [",".join(row) for row in rows]
    return "\r\n".join([*found, ""]).encode()


CSV = Format("csv", "csv", "text/csv; charset=utf-8; header=present", ("text/csv",), CsvWriter, spreads=True)
