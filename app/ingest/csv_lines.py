"""CSV whose records remember their lines: one table, named by the file; a blank cell is not given."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.errors import SeedInvalid
from app.ingest.records import RECORDS, TABLES
from app.ingest.yaml_lines import Lined
from app.models import Codes
from app.nearest import nearest

HEADER = 1
"""The line that names the fields; what is wrong with the file as a whole is told there."""


def load(path: Path, shown: str) -> Lined:
    """Read a CSV file as the one table it holds. Raises SeedInvalid with the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SeedInvalid(f"{shown}: it is not UTF-8") from error
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        records = list(read_records(path.stem, rows, shown))
    except csv.Error as error:
        raise SeedInvalid(f"{shown}:{rows.line_num} {error}") from error
    return lined(HEADER, {path.stem: records})


def read_records(table: str, rows: Any, shown: str) -> Iterator[Lined]:
    """Give the records under the header, each with the line it begins on. Raises SeedInvalid."""
    names: list[str] = next(rows, [])
    check_header(table, names, shown)
    readers = [reader_of(table, name) for name in names]
    line = rows.line_num + 1
    for cells in rows:
        if len(cells) != len(names):
            raise SeedInvalid(f"{shown}:{line} the row has {len(cells)} cells, the header {len(names)}")
        given = zip(names, readers, cells, strict=True)
        yield lined(line, {name: read(cell) for name, read, cell in given if cell})
        line = rows.line_num + 1


def check_header(table: str, names: list[str], shown: str) -> None:
    """Refuse a header that does not name fields, each once; a table there is not is refused by who reads it."""
    if not names:
        raise SeedInvalid(f"{shown}:{HEADER} the file holds no header")
    fields = RECORDS[table].model_fields if table in RECORDS else names
    for name in names:
        if names.count(name) > 1:
            raise SeedInvalid(f"{shown}:{HEADER} field {name!r} is given twice")
        if name not in fields:
            raise SeedInvalid(f"{shown}:{HEADER} {table} has no field {name!r}; like it is {nearest(name, fields)!r}")


def reader_of(table: str, name: str) -> Callable[[str], Any]:
    """Give what reads the cells of a column: numbers as numbers, a list split at `;`, all else as it stands."""
    columns = TABLES[table].__table__.columns if table in TABLES else {}
    if name not in columns:
        return str
    if isinstance(columns[name].type, Codes):
        return lambda cell: cell.split(";")
    return whole if columns[name].type.python_type is int else str


def whole(cell: str) -> Any:
    """Give a whole number; other text as it stands, for the record's own check to refuse."""
    digits = cell.removeprefix("-")
    return int(cell) if digits.isascii() and digits.isdigit() and len(digits) <= 19 else cell


def lined(line: int, values: dict[str, Any]) -> Lined:
    """Make a mapping all of which stands on one line."""
    found = Lined(values)
    found.line, found.lines = line, {}
    return found
