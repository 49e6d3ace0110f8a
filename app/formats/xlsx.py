"""Excel workbooks: the rows, the sources they are from with their citations, and notes on the columns."""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import IO, Any

from app.errors import Fault, OverLimit
from app.formats.base import Columns, Format, Kind, Sheet
from app.formats.parquet import typed

MOST_ROWS = 100_000
"""Rows of a workbook; more are for CSV and Parquet, and take Excel minutes to open."""
EXACT = 10**15
"""Whole numbers beyond it lose digits in Excel, which has fifteen, and are written as text."""
TOO_LONG = -2
"""What the library says of text that it cut to the 32,767 characters of a cell."""
FIRST_DAY = date(1900, 3, 1)
"""Days before it are written as text: Excel counts from 1900, and counts a 29th of February that year did not have."""
UNCITED = "the rows are without the field source: where a table has it, ask for it to have the sources cited"
PART = 1 << 16


class XlsxWriter:
    """A workbook on disk, row by row, given when it is whole."""

    def __init__(self, sheet: Sheet) -> None:
        import xlsxwriter  # type: ignore[import-untyped]

        self._sheet = sheet
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed, and gone, when it was given
        # The library leaves its files where it fails; they are in a folder of their own, which goes with the writer.
        folder = tempfile.mkdtemp(prefix="khorgos-")
        as_they_are = dict.fromkeys(("strings_to_numbers", "strings_to_formulas", "strings_to_urls"), False)
        options = {"constant_memory": True, "tmpdir": folder, **as_they_are}
        self._book = xlsxwriter.Workbook(self._file, options)
        self._drop = weakref.finalize(self, drop, folder, self._file, self._book)
        self._book.set_properties({"created": created(sheet)})
        self._bold = self._book.add_format({"bold": True})
        formats = {Kind.DAY: "yyyy-mm-dd", Kind.MOMENT: "yyyy-mm-dd hh:mm:ss"}
        self._dated = {kind: self._book.add_format({"num_format": text}) for kind, text in formats.items()}
        self._data = self._book.add_worksheet("Data")
        self._data.write_row(0, 0, [column.name for column in sheet.columns], self._bold)
        self._data.freeze_panes(1, 0)
        self._rows = 0
        self._slugs: set[str] = set()
        self._is_cited = False

    def start(self) -> bytes:
        """Give nothing: a workbook is given when it is whole."""
        return b""

    def rows(self, columns: Columns) -> bytes:
        """Write rows. Raises OverLimit for text that a cell cannot hold."""
        names = [column.name for column in self._sheet.columns]
        kinds = [column.kind for column in self._sheet.columns]
        cited = "slug" if self._sheet.name == "sources" else "source"
        if columns and cited in names:
            self._slugs.update(filter(None, columns[names.index(cited)]))
        cells = [shown(kind, values) for kind, values in zip(kinds, columns, strict=bool(columns))]
        try:
            for row in zip(*cells, strict=True):
                self._rows += 1
                for place, value in enumerate(row):
                    if value is not None:
                        self.write(place, value, kinds[place])
        except BaseException:  # what failed may be kept by who logs it, and the files with it
            self._drop()
            raise
        return b""

    def write(self, place: int, value: Any, kind: Kind) -> None:
        """Write one cell of the row that is under way. Raises OverLimit."""
        if isinstance(value, str):
            if self._data.write_string(self._rows, place, value) == TOO_LONG:
                name = self._sheet.columns[place].name
                message = f"a cell of xlsx holds 32,767 characters, and {name} has more: ask for parquet or csv"
                raise OverLimit.of(Fault("format", "xlsx", message))
        elif isinstance(value, bool):
            self._data.write_boolean(self._rows, place, value)
        elif isinstance(value, date):
            self._data.write_datetime(self._rows, place, value, self._dated[kind])
        else:
            self._data.write_number(self._rows, place, value)

    def end(self) -> Iterator[bytes]:
        """Write the other sheets and give the workbook."""
        try:
            self.write_sources()
            self.write_notes()
            self._book.close()
            self._file.seek(0)
            while part := self._file.read(PART):
                yield part
        finally:
            self._drop()

    def write_sources(self) -> None:
        """Write the sources of the rows, and how to cite them."""
        names = ("slug", "title", "publisher", "published_on", "url", "licence", "citation")
        rows = [[getattr(one, name) for name in names] for one in self._sheet.cite(self._slugs)]
        self._is_cited = bool(rows)
        self.write_table("Sources", names, rows)

    def write_notes(self) -> None:
        """Write what the table is of, and what its columns mean."""
        about = [("release", str(self._sheet.release)), ("request", self._sheet.link)]
        if self._rows and not self._is_cited:
            about.append(("sources", UNCITED))
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


def drop(folder: str, file: IO[bytes], book: Any) -> None:
    """Take away the files of a workbook, whole or not."""
    for sheet in book.worksheets():
        sheet.row_data_fh.close()
    file.close()
    shutil.rmtree(folder, ignore_errors=True)


def created(sheet: Sheet) -> datetime:
    """Give when a workbook says it was made: when its release was published, for it is the same whenever asked."""
    moment = sheet.published_at or datetime(1980, 1, 1, tzinfo=UTC)
    return moment.astimezone(UTC)


def shown(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Give what the cells of a column hold."""
    if kind is Kind.LIST:
        return [value if value is None else ";".join(value) for value in values]
    if kind in (Kind.DAY, Kind.MOMENT):
        return [value if value is None else dated(value) for value in typed(kind, values)]
    if kind in (Kind.INTEGER, Kind.NUMBER):
        return [str(value) if isinstance(value, int) and abs(value) > EXACT else value for value in values]
    return values


def dated(value: date | datetime) -> date | datetime | str:
    """Give a day as Excel has it, or a moment in UTC, for Excel knows no time zones."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value if value >= FIRST_DAY else value.isoformat()


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
