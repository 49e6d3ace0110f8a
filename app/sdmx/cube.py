"""What a dataflow is: its key, its attributes, and what a request selects of it. No message is written here."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, or_, select

from app.db import BATCH
from app.releases import Edition

AGENCY, VERSION, SCHEME = "KHORGOS", "1.0", "CS_KHORGOS"
TIME, VALUE = "TIME_PERIOD", "OBS_VALUE"


@dataclass(frozen=True)
class Component:
    """A dimension or an attribute, with the concept that it is; a list holds its codes, or it is text."""

    id: str
    name: str
    codelist: str | None = None
    description: str = ""
    stored: Mapping[str, str] = field(default_factory=dict)  # SDMX code to the word stored, where they differ
    mandatory: bool = True

    def stored_as(self, code: str) -> str:
        """Give the stored word of an SDMX code."""
        return self.stored.get(code, code)

    def codes_of(self) -> Mapping[str, str]:
        """Give the SDMX codes of stored words, where they differ."""
        return {word: code for code, word in self.stored.items()}


class Obs(NamedTuple):
    """One observation; attributes stand in the order of their components, null where there is none."""

    key: tuple[str, ...]
    series: tuple[str | None, ...]
    time: str
    value: int | float | None
    attributes: tuple[str | None, ...]


Runs = Generator[list[Obs], None, None]
"""Observations as they are read, so many at once."""


@dataclass(frozen=True)
class Selection:
    """What a request selects: codes of each dimension, none where all are meant; days; how many of each series."""

    edition: Edition
    codes: tuple[frozenset[str], ...]
    start: date | None = None
    end: date | None = None
    first: int | None = None
    last: int | None = None

    def keeps(self, key: tuple[str, ...], day: date) -> bool:
        """Whether an observation of one day is selected."""
        codes = all(not asked or code in asked for asked, code in zip(self.codes, key, strict=True))
        return codes and (self.start is None or day >= self.start) and (self.end is None or day <= self.end)


@dataclass(frozen=True, eq=False)
class Cube:
    """One dataflow and its data structure, which have one id."""

    id: str
    name: str
    description: str
    dimensions: tuple[Component, ...]
    series_attributes: tuple[Component, ...]
    attributes: tuple[Component, ...]
    number: str  # what values are, as XML Schema says it: Long, Double
    observe: Callable[[Connection, Edition, list[Any]], list[Obs]]
    rows: Callable[[int], Select[Any]] | None = None  # of a release: columns by component, with the days of a period
    order: tuple[str, ...] = ()  # dimensions, in an order that the table has at hand
    made: Callable[[Connection, Edition], list[Obs]] | None = None  # where no SELECT gives them: of one day all

    @property
    def key(self) -> tuple[str, ...]:
        """Ids of the dimensions of a series."""
        return tuple(one.id for one in self.dimensions)

    @property
    def components(self) -> tuple[Component, ...]:
        """Every dimension and attribute."""
        return (*self.dimensions, *self.series_attributes, *self.attributes)

    def read(self, connection: Connection, selection: Selection) -> Runs:
        """Give the observations selected, by series and then period, in runs."""
        if self.made is not None:
            found = [one for one in self.made(connection, selection.edition) if selection.keeps(one.key, day(one))]
            if found:
                yield found
            return
        result = connection.execution_options(yield_per=BATCH).execute(self.query(selection))
        try:
            for rows in result.partitions(BATCH):
                yield self.observe(connection, selection.edition, list(rows))
        finally:
            result.close()

    def query(self, selection: Selection) -> Select[Any]:
        """Give the one SELECT of an answer: rows in the order of series and period."""
        query = self.selected(selection)
        if selection.first is not None or selection.last is not None:
            query = ends(query, self.order, selection)
        columns = query.selected_columns
        return query.order_by(*(columns[name] for name in (*self.order, "start", "end", TIME)))

    def selected(self, selection: Selection) -> Select[Any]:
        """Narrow the rows of a release to what is selected."""
        if self.rows is None:
            raise TypeError(f"{self.id} has no rows of its own")
        query = self.rows(selection.edition.number)
        columns = query.selected_columns
        for dimension, codes in zip(self.dimensions, selection.codes, strict=True):
            if codes:
                query = query.where(columns[dimension.id].in_(sorted(map(dimension.stored_as, codes))))
        if selection.start is not None:
            query = query.where(columns["start"] >= selection.start)
        if selection.end is not None:
            query = query.where(columns["end"] <= selection.end)
        return query

    def available(self, connection: Connection, selection: Selection, asked: tuple[str, ...]) -> dict[str, list[str]]:
        """Give the codes that the selected observations have in each dimension asked; of time, the first and the last.

        Empty where nothing is selected.
        """
        if self.made is not None:
            return available_in([one for run in self.read(connection, selection) for one in run], self.key, asked)
        found: dict[str, list[str]] = {}
        query = self.selected(selection)
        columns = query.selected_columns
        for dimension in self.dimensions:
            if dimension.id in asked:
                distinct = query.with_only_columns(columns[dimension.id], maintain_column_froms=True).distinct()
                codes = dimension.codes_of()
                found[dimension.id] = sorted(codes.get(word, word) for (word,) in connection.execute(distinct))
        if TIME in asked:
            bounds = query.with_only_columns(
                func.min(columns["start"]), func.max(columns["end"]), maintain_column_froms=True
            )
            found[TIME] = [end.isoformat() for end in connection.execute(bounds).one() if end is not None]
        return {name: codes for name, codes in found.items() if codes}


def day(one: Obs) -> date:
    """Give the day of an observation of one day."""
    return date.fromisoformat(one.time)


def available_in(found: list[Obs], key: tuple[str, ...], asked: tuple[str, ...]) -> dict[str, list[str]]:
    """Give the codes of each dimension asked in observations at hand."""
    if not found:
        return {}
    codes = {name: sorted({one.key[place] for one in found}) for place, name in enumerate(key) if name in asked}
    times = sorted(one.time for one in found)
    return codes | ({TIME: [times[0], times[-1]]} if TIME in asked else {})


def ends(query: Select[Any], series: tuple[str, ...], selection: Selection) -> Select[Any]:
    """Keep the first and the last observations of each series, told apart in the order that the table has at hand."""
    columns = query.selected_columns
    names = list(columns.keys())
    period = [columns[name] for name in ("start", "end", TIME)]
    asked: dict[str, tuple[int | None, list[Any]]] = {
        "from_first": (selection.first, period),
        "from_last": (selection.last, [column.desc() for column in period]),
    }
    numbers = {
        name: func.row_number().over(partition_by=[columns[one] for one in series], order_by=order).label(name)
        for name, (most, order) in asked.items()
        if most is not None
    }
    found = query.add_columns(*numbers.values()).subquery()
    kept = [found.c[name] <= asked[name][0] for name in numbers]
    return select(*(found.c[name] for name in names)).where(or_(*kept))
