"""One table request as a plan: which columns are selected, and how selected rows become the fields asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Select

from app.ask import Ask
from app.evidence import evidence_of
from app.query import Clause, Order, Resource, select_rows


@dataclass(frozen=True)
class Plan:
    """One table request, settled: which rows, which fields, in which order."""

    ask: Ask
    resource: Resource
    clauses: tuple[Clause, ...]
    fields: tuple[str, ...]
    order: tuple[Order, ...]
    origin: tuple[Resource, tuple[Clause, ...]]

    @cached_property
    def columns(self) -> list[Any]:
        """Columns of the SELECT: those of the fields, the keys of the order, the record's own key."""
        known = self.resource.fields
        columns = [known[name].column for name in self.needed]
        there = set(map(id, columns))  # a field that is a key is selected once
        beside = [key.column for key in self.order if id(key.column) not in there]
        return [*columns, *beside, *self.identity]

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Fields to select: those asked, and those that others are labels of or made from."""
        known = self.resource.fields
        return tuple(dict.fromkeys(needed for name in self.fields if name in known for needed in known[name].needs))

    @cached_property
    def identity(self) -> tuple[Any, ...]:
        """The column of the record's key, where evidence is asked, or of the count of all rows."""
        if self.resource.counted is not None:
            return (self.resource.counted,)
        return (self.spoken_by, self.resource.identity) if "evidence" in self.fields else ()

    @property
    def spoken_by(self) -> Any:
        """The column of the source that a record is of."""
        table: Any = self.resource.source
        return getattr(table, "c", table).source

    def select(self) -> Select[Any]:
        """Give the SELECT of the rows, without order."""
        labelled = [column.label(f"c{number}") for number, column in enumerate(self.columns)]
        return select_rows(self.resource, self.clauses, self.ask.edition.number, labelled)

    def keys(self, row: Sequence[Any]) -> list[Any]:
        """Give the keys of the order of a selected row."""
        places = {id(column): place for place, column in enumerate(self.columns)}
        return [row[places[id(key.column)]] for key in self.order]

    def records(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Turn selected rows into the fields asked."""
        return [dict(zip(self.fields, values, strict=True)) for values in self.values(connection, rows)]

    def values(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> Iterator[list[Any]]:
        """Turn selected rows into the values of the fields asked, in their order."""
        evidence = self.evidence(connection, rows)
        made = [(place, get) for place, name in enumerate(self.fields) if (get := self.getter(name))]
        proved = self.fields.index("evidence") if "evidence" in self.fields else None
        # A field that is a column is taken as it is; the others have any place, and are made after.
        places = [self.needed.index(name) if name in self.needed else 0 for name in self.fields]
        take = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        for row in rows:
            values = list(take(row))
            for place, get in made:
                values[place] = get(row)
            if proved is not None:
                values[proved] = evidence.get(row[-1], [])
            yield values

    def evidence(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
        """Give the evidence of selected rows by their keys; a dataset's rows have none, and are not looked for."""
        if "evidence" not in self.fields:
            return {}
        keys = [row[-1] for row in rows if row[-2] in self.ask.edition.names.proved]
        if not keys:
            return {}
        return evidence_of(connection, self.resource.record, keys, self.ask.edition.number)

    def getter(self, name: str) -> Callable[[Sequence[Any]], Any] | None:
        """Give the function that makes a field of a selected row; null for a plain column, and for evidence."""
        if name == "evidence":
            return None
        one = self.resource.fields[name]
        if made := one.made:
            places = {needed: self.needed.index(needed) for needed in made.needs}
            return lambda row: made.build({needed: row[place] for needed, place in places.items()}, self.ask)
        if one.label:
            place = self.needed.index(one.label.field)
            labels = self.ask.edition.names.vocabularies[one.label.vocabulary].labels
            return lambda row: labels.get(row[place])
        if one.is_number:
            place = self.needed.index(name)
            return lambda row: whole(row[place])
        return None


def whole(value: float | None) -> float | int | None:
    """Give a number without a fraction as an integer: 30050000000, not 30050000000.0."""
    return int(value) if value is not None and value == int(value) else value
