"""What a format of a table is, and what it is told of the table it writes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

Columns = Sequence[Sequence[Any]]
"""Rows, column by column; there is no column where there is no row."""


class Repeated(Sequence[Any]):
    """A column whose values repeat from row to row: some values, and the place among them of each row's own.

    Columns that repeat together share one list of places, so that what is made of them is made once for its rows.
    """

    __slots__ = ("places", "values")

    def __init__(self, values: Sequence[Any], places: list[int]) -> None:
        self.values = values
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, row: Any) -> Any:
        return Repeated(self.values, self.places[row]) if isinstance(row, slice) else self.values[self.places[row]]

    def __iter__(self) -> Iterator[Any]:
        return map(self.values.__getitem__, self.places)


def change(how: Callable[[Sequence[Any]], Iterable[Any]], values: Sequence[Any]) -> Sequence[Any]:
    """Change the values of a column; those that repeat once."""
    if isinstance(values, Repeated):
        return Repeated(list(how(values.values)), values.places)
    changed = how(values)
    return changed if isinstance(changed, Sequence) else list(changed)


def join(how: Callable[[tuple[Any, ...]], Any], columns: Columns) -> Sequence[Any]:
    """Make one column of several, row by row; of those that repeat together once."""
    repeated = [one for one in columns if isinstance(one, Repeated)]
    if len(repeated) < len(columns) or len({id(one.places) for one in repeated}) > 1:
        return list(map(how, zip(*columns, strict=True)))
    return Repeated(list(map(how, zip(*(one.values for one in repeated), strict=True))), repeated[0].places)


def distinct(values: Sequence[Any]) -> set[Any]:
    """Give the values of a column, each once."""
    return set(values.values if isinstance(values, Repeated) else values)


class Kind(StrEnum):
    """What the values of a column are; any may be null."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    TRUTH = "truth"
    DAY = "day"
    MOMENT = "moment"
    LIST = "list"  # of text
    OBJECT = "object"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    description: str = ""


@dataclass(frozen=True)
class Cited:
    """A source as it is cited beside a table."""

    slug: str
    title: str
    publisher: str
    published_on: str | None
    url: str | None
    licence: str | None
    citation: str


@dataclass(frozen=True)
class Sheet:
    """A table before its first row."""

    name: str  # trade_flows
    columns: tuple[Column, ...]
    release: int
    link: str  # path that answers it
    cite: Callable[[set[str]], list[Cited]]  # sources by their slugs
    published_at: datetime | None = None  # when the release was


class Writer(Protocol):
    """Makes bytes of one table: a start, runs of rows, an end."""

    def start(self) -> bytes:
        """Give what stands before the rows."""

    def rows(self, columns: Columns) -> bytes:
        """Give what there is to send after some more rows."""

    def end(self) -> Iterable[bytes]:
        """Give the rest."""


@dataclass(frozen=True)
class Format:
    """How tables become bytes."""

    name: str
    suffix: str
    media_type: str
    accepts: tuple[str, ...]
    writer: Callable[[Sheet], Writer]
    spreads: bool = False  # whether members of an object are columns
    nests: bool = False  # whether evidence is given whole, not by its figures
    library: str | None = None  # what it is written with, if that is not always there
    extra: str | None = None  # what installs it
    record: str | None = None  # the one table that has it
    reads: tuple[str, ...] = ()  # fields it is made of, where they are not for the request to choose
    most_rows: int | None = None  # rows it takes, where it takes not any number


class Whole:
    """A writer with nothing at the start and the end."""

    def __init__(self, sheet: Sheet) -> None:
        self.names = [column.name for column in sheet.columns]
        self.kinds = [column.kind for column in sheet.columns]

    def start(self) -> bytes:
        """Give nothing."""
        return b""

    def end(self) -> Iterable[bytes]:
        """Give nothing."""
        return ()
