"""CSV as RFC 4180 has it, in UTF-8; a text cell that a spreadsheet would run is neutralised."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from app.formats.base import Columns, Format, Kind, Repeated, Whole, change, join

FORMULA = ("=", "+", "-", "@", "\t", "\r")
MARKS = ('"', ",", "\r", "\n")
QUOTED = re.compile(r'[",\r\n]')
TRUTHS = {None: "", True: "true", False: "false"}


class CsvWriter(Whole):
    """Lines that end in CR LF, after a header line, which an empty table has too."""

    def start(self) -> bytes:
        """Give the header line."""
        return lines([[quoted(name) for name in self.names]])

    def rows(self, columns: Columns) -> bytes:
        """Give the lines of rows."""
        if len(columns) == 1:  # a line of nothing is no record to those who read it
            return lines([text or '""'] for text in cells(self.kinds[0], columns[0]))
        return lines(zip(*side_by_side(list(map(cells, self.kinds, columns))), strict=True))


def side_by_side(columns: Columns) -> Iterator[Sequence[str]]:
    """Give columns of cells, those that stand beside each other and repeat together as one."""
    for _, beside in groupby(columns, lambda one: id(one.places if isinstance(one, Repeated) else one)):
        found = list(beside)
        yield join(",".join, found) if len(found) > 1 else found[0]


def cells(kind: Kind, values: Sequence[Any]) -> Sequence[str]:
    """Give the cells of a column: a list joined by `;`, truth in small letters, text that is no formula."""
    return change(partial(spelled, kind), values)


def spelled(kind: Kind, values: Sequence[Any]) -> Iterable[str]:
    """Give the cells of values."""
    if kind is Kind.TRUTH:
        return map(TRUTHS.__getitem__, values)
    if kind is Kind.LIST:
        values = [";".join(value) if value else None for value in values]
    distinct = set(values)
    if len(distinct) * 2 > len(values):
        if kind in (Kind.INTEGER, Kind.NUMBER):
            return ["" if value is None else repr(value) for value in values]
        if kind is Kind.TEXT and stand_as_they_are(values):
            return values
    # How a value is written is settled once, however many rows have it.
    return map({value: cell(value) for value in distinct}.__getitem__, values)


def stand_as_they_are(values: Sequence[Any]) -> bool:
    """Whether each value is text that needs neither quotes nor an apostrophe."""
    if None in values:
        return False
    text = "".join(values)
    is_marked = any(mark in text for mark in MARKS) or not {value[:1] for value in values}.isdisjoint(FORMULA)
    return not is_marked


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
