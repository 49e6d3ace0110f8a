"""Excel workbooks: the rows, the sources they are from with their citations, and notes on the columns."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from app.formats.base import Columns, Format, Kind, Sheet
from app.formats.parquet import typed

MOST_ROWS = 100_000
"""Rows of a workbook; more are for CSV and Parquet, and take Excel minutes to open."""
EXACT = 2**53
"""Whole numbers beyond it lose digits in Excel, and are written as text."""
PART = 1 << 16


class XlsxWriter:
    """A workbook on disk, row by row, given when it is whole."""

    def __init__(self, sheet: Sheet) -> None:
        import xlsxwriter  # type: ignore[import-untyped]

        self._sheet = sheet
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed, and gone, when it was given
        as_they_are = dict.fromkeys(("strings_to_numbers", "strings_to_formulas", "strings_to_urls"), False)
        self._book = xlsxwriter.Workbook(self._file, {"constant_memory": True, **as_they_are})
        self._bold = self._book.add_format({"bold": True})
        formats = {Kind.DAY: "yyyy-mm-dd", Kind.MOMENT: "yyyy-mm-dd hh:mm:ss"}
        self._dated = {kind: self._book.add_format({"num_format": text}) for kind, text in formats.items()}
        self._data = self._book.add_worksheet("Data")
        self._data.write_row(0, 0, [column.name for column in sheet.columns], self._bold)
        self._data.freeze_panes(1, 0)
        self._rows = 0
        self._slugs: set[str] = set()

    def start(self) -> bytes:
        """Give nothing: a workbook is given when it is whole."""
        return b""

    def rows(self, columns: Columns) -> bytes:
        """Write rows."""
        names = [column.name for column in self._sheet.columns]
        kinds = [column.kind for column in self._sheet.columns]
        if columns and "source" in names:
            self._slugs.update(columns[names.index("source")])
        cells = [shown(kind, values) for kind, values in zip(kinds, columns, strict=bool(columns))]
        for row in zip(*cells, strict=True):
            self._rows += 1
            for place, value in enumerate(row):
                if value is None:
                    continue
                if isinstance(value, str):
                    self._data.write_string(self._rows, place, value)
                elif isinstance(value, bool):
                    self._data.write_boolean(self._rows, place, value)
                elif isinstance(value, date):
                    self._data.write_datetime(self._rows, place, value, self._dated[kinds[place]])
                else:
                    self._data.write_number(self._rows, place, value)
        return b""

    def end(self) -> Iterator[bytes]:
        """Write the other sheets and give the workbook."""
        self.write_sources()
        self.write_notes()
        self._book.close()
        with self._file as file:
            file.seek(0)
            while part := file.read(PART):
                yield part

    def write_sources(self) -> None:
        """Write the sources of the rows, and how to cite them."""
        names = ("slug", "title", "publisher", "published_on", "url", "licence", "citation")
        rows = ([getattr(one, name) for name in names] for one in self._sheet.cite(self._slugs))
        self.write_table("Sources", names, rows)

    def write_notes(self) -> None:
        """Write what the table is of, and what its columns mean."""
        about = [("release", str(self._sheet.release)), ("request", self._sheet.link)]
        meaning = [(column.name, column.description) for column in self._sheet.columns if column.description]
        self.write_table("Notes", ("about", "note"), [*about, *meaning])

    def write_table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
        """Write a sheet of text."""
        sheet = self._book.add_worksheet(name)
        sheet.write_row(0, 0, header, self._bold)
        for number, row in enumerate(rows, 1):
            for place, text in enumerate(row):
                if text:
                    sheet.write_string(number, place, text)


def shown(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Give what the cells of a column hold."""
    if kind is Kind.LIST:
        return [value if value is None else ";".join(value) for value in values]
    if kind in (Kind.DAY, Kind.MOMENT):
        return [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in typed(kind, values)]
    if kind in (Kind.INTEGER, Kind.NUMBER):
        return [str(value) if isinstance(value, int) and abs(value) > EXACT else value for value in values]
    return values


MEDIA = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX = Format(
    "xlsx",
    "xlsx",
    MEDIA,
    (MEDIA,),
    XlsxWriter,
    spreads=True,
    library="xlsxwriter",
    extra="xlsx",
    most_rows=MOST_ROWS,
)
