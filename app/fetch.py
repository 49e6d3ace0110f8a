"""The rows of a page, column by column, in one step of the engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Date,
    Float,
    Integer,
    Select,
    Text,
    case,
    cast,
    func,
    select,
)
from sqlalchemy.exc import DBAPIError

from app.formats.base import Repeated
from app.models import Codes, codes_in

Reader = Callable[[Any], Any]


@lru_cache(maxsize=10_000)
def day(text: str | None) -> date | None:
    """Read a day."""
    return date.fromisoformat(text) if text else None


def number(text: str | None) -> float | None:
    """Read a number that was written exactly."""
    return None if text is None else float(text)


OF_JSON: dict[type[Any], Reader | None] = {
    Text: None,
    Integer: None,
    BigInteger: None,
    Date: day,
    Boolean: {None: None, 0: False, 1: True}.get,
    Float: number,
    Codes: codes_in,
}
"""Types that come through JSON as they were, and how each is read; none as it is."""
OF_SQLITE: dict[type[Any], Reader | None] = {**OF_JSON, Float: None}
"""The same of a row of SQLite."""
MOST = 100
"""Most columns: SQLite's own bound on the arguments of a function."""


@dataclass(frozen=True)
class Fetch:
    """A SELECT of a page of rows, and how it is read."""

    statement: Select[Any]
    is_counted: bool = False  # whether the count of the list comes with the rows
    readers: tuple[Reader | None, ...] | None = None  # of columns that come as one JSON text

    def columns(self, connection: Connection, values: Mapping[str, Any]) -> tuple[list[Sequence[Any]], int | None]:
        """Give the rows column by column, no column where there is no row; and the count, where it comes with them."""
        found = connection.execute(self.statement, values)
        if self.readers is not None:
            text, count = found.one()
            return read_columns(orjson.loads(text), self.readers), count
        columns: list[Sequence[Any]] = list(zip(*found.all(), strict=True))
        return (columns[:-1], columns[-1][0]) if self.is_counted and columns else (columns, None)


def fetching_at_once(query: Select[Any], count: Select[Any], is_sqlite: bool) -> Fetch:
    """Make the SELECT of a page and of the count of its list; on SQLite all comes as one row, where its types allow.

    Python's driver lets the interpreter's lock go and takes it again for every row, so that eight readers at once got
    half the pages a second that one got; for one row it does so once.
    """
    counting = count.scalar_subquery()
    rows = query.subquery()
    kinds = [type(column.type) for column in rows.c]
    if not is_sqlite or len(kinds) > MOST or not OF_JSON.keys() >= set(kinds):
        return Fetch(query.add_columns(counting.label("there_are")), is_counted=True)
    cells = [exactly(column) if isinstance(column.type, Float) else column for column in rows.c]
    statement = select(func.json_group_array(func.json_array(*cells)), counting)
    return Fetch(statement, True, tuple(OF_JSON[kind] for kind in kinds))


def exactly(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Give a number as text that loses nothing: SQLite's own JSON has 15 digits, and its 17th may be wrong."""
    return case((column.is_not(None), func.printf("%!.20g", column)))


def read_columns(rows: Sequence[Sequence[Any]], readers: Sequence[Reader | None]) -> list[Sequence[Any]]:
    """Read rows as the driver gives them, column by column."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    each = zip(columns, readers if columns else (), strict=True)
    return [list(map(read, one)) if read else one for one, read in each]


class Runs:
    """All rows of a SELECT, so many at a time, column by column.

    Columns that repeat come as one JSON text a row, read once for the rows that share it: what a driver takes for each
    value of twenty columns was half the time of an export. On SQLite rows are taken from the driver's cursor as they
    are: SQLAlchemy's own rows, which nothing here needs, take as long again.
    """

    def __init__(
        self,
        connection: Connection,
        query: Select[Any],
        values: Mapping[str, Any],
        size: int,
        repeating: Sequence[int] = (),
    ) -> None:
        is_sqlite = connection.dialect.name == "sqlite"
        columns = list(query.selected_columns)
        kinds = [type(column.type) for column in columns]
        packed = [place for place in repeating if kinds[place] in PACKED]
        self._packing = Packing(packed, [OF_JSON[kinds[place]] for place in packed], len(columns)) if packed else None
        if packed:
            query = query.with_only_columns(
                *(column for place, column in enumerate(columns) if place not in packed),
                pack([columns[place] for place in packed], is_sqlite),
                maintain_column_froms=True,
            )
            kinds = [*(kind for place, kind in enumerate(kinds) if place not in packed), Text]
        self._is_raw = is_sqlite and OF_SQLITE.keys() >= set(kinds)
        self._readers = [OF_SQLITE[kind] for kind in kinds] if self._is_raw else []
        options = {} if self._is_raw else {"yield_per": size}
        self._found = connection.execution_options(**options).execute(query, values)
        self._size = size

    def following(self) -> list[Sequence[Any]]:
        """Give the next rows; no column when there are no more."""
        columns = self.fetched()
        return self._packing.undone(columns) if self._packing and columns else columns

    def fetched(self) -> list[Sequence[Any]]:
        """Give the next rows as they come."""
        if not self._is_raw:
            return list(zip(*self._found.fetchmany(self._size), strict=True))
        cursor, errors = self._found.cursor, self._found.dialect.loaded_dbapi.Error
        try:
            return read_columns(cursor.fetchmany(self._size), self._readers)
        except errors as error:
            raise DBAPIError.instance(None, None, error, errors, dialect=self._found.dialect) from error

    def close(self) -> None:
        """Let the cursor go."""
        self._found.close()


PACKED = OF_JSON.keys() - {Float}
"""Types whose values both engines write in JSON as they are."""


def pack(columns: Sequence[Any], is_sqlite: bool) -> ColumnElement[Any]:
    """Give columns as one JSON text."""
    parts = [getattr(column, "element", column) for column in columns]
    return func.json_array(*parts, type_=Text) if is_sqlite else cast(func.json_build_array(*parts), Text)


@dataclass(frozen=True)
class Packing:
    """Columns that come as one, the last."""

    places: Sequence[int]  # where they stand
    readers: Sequence[Reader | None]
    width: int  # columns in all

    def undone(self, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Give each column in its place."""
        *others, texts = columns
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        rows = list(map(numbers.__getitem__, texts))
        found = read_columns(orjson.loads(f"[{','.join(numbers)}]"), self.readers)
        taken = dict(zip(self.places, found, strict=True))
        rest = iter(others)
        return [Repeated(taken[place], rows) if place in taken else next(rest) for place in range(self.width)]
