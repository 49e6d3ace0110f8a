"""One table request as a plan: which columns are selected, and how selected rows become the fields asked.

Requests of one form, which differ in values alone, share one prepared statement.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam

from app import codes
from app.ask import Ask
from app.evidence import evidence_of
from app.fetch import Fetch, Runs, fetching_at_once
from app.filters import Clause
from app.formats import WRITTEN
from app.formats.base import Column, Kind, change, distinct
from app.query import Order, Resource, chosen, counted, later, order_of, ordered, prepare_rows

Selected = Sequence[Sequence[Any]]
"""Selected rows, column by column."""
Nulls = tuple[bool, ...] | None
"""Which keys of the row that a page comes after are null; null of a first page."""
Maker = Callable[[Ask, Selected], Iterable[Any]]
"""Makes a field of all selected rows."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The statements of every request of one form: same filters, fields and order, whatever the values."""

    resource: Resource
    clauses: tuple[Clause, ...]
    fields: tuple[str, ...]
    order: tuple[Order, ...]
    pages: dict[tuple[Nulls, int | None], Fetch] = field(default_factory=dict)
    counts: dict[int | None, Select[Any]] = field(default_factory=dict)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """Fields to select: those asked, and those that others are labels of or made from."""
        known = self.resource.fields
        wanted = [name for name in self.fields if name in known]
        if "evidence" in self.fields and self.resource.identity:
            wanted.append(self.resource.identity)
        return tuple(dict.fromkeys(needed for name in wanted for needed in known[name].needs))

    @cached_property
    def columns(self) -> list[Any]:
        """Columns of the SELECT: those of the fields, the keys of the order; last who speaks, or the count of all."""
        known = self.resource.fields
        columns = [known[name].column for name in self.needed]
        there = set(map(id, columns))  # a field that is a key is selected once
        columns += [key.column for key in self.order if id(key.column) not in there]
        if self.resource.counted is not None:
            columns.append(self.resource.counted)
        elif "evidence" in self.fields and id(self.voice) not in set(map(id, columns)):
            columns.append(self.voice)
        return columns

    @cached_property
    def repeating(self) -> tuple[int, ...]:
        """Where the columns stand whose values repeat from row to row."""
        known = set(map(id, self.resource.repeats))
        return tuple(place for place, column in enumerate(self.columns) if id(column) in known)

    @property
    def voice(self) -> Any:
        """The column of the source that a record is of."""
        table: Any = self.resource.source
        return getattr(table, "c", table).source

    @cached_property
    def voice_place(self) -> int:
        """Where the source of a record stands in a row."""
        return next(place for place, column in enumerate(self.columns) if column is self.voice)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each needed field stands in a row."""
        return {name: place for place, name in enumerate(self.needed)}

    @cached_property
    def key_places(self) -> tuple[int, ...]:
        """Where the keys of the order stand in a row."""
        places = {id(column): place for place, column in reversed(list(enumerate(self.columns)))}
        return tuple(places[id(key.column)] for key in self.order)

    @cached_property
    def makers(self) -> tuple[Maker | None, ...]:
        """How the fields asked are made; null for evidence, which is looked for."""
        return tuple(None if name == "evidence" else self.maker(name) for name in self.fields)

    def maker(self, name: str) -> Maker:
        """Give how a field of all rows is made of selected columns."""
        one, places = self.resource.fields[name], self.places
        if made := one.made:
            needs = [places[need] for need in made.needs]
            return lambda ask, selected: made.build(ask, *(selected[place] for place in needs))
        if label := one.label:
            place = places[label.field]
            return lambda ask, selected: change(
                partial(map, ask.edition.names.vocabularies[label.vocabulary].labels.get), selected[place]
            )
        place = places[name]
        if one.is_number:
            return lambda _, selected: change(partial(map, whole), selected[place])
        if one.is_open:
            return lambda _, selected: change(unless_silent, selected[place])
        return lambda _, selected: selected[place]

    @cached_property
    def rows(self) -> Select[Any]:
        """The SELECT of the rows, without order."""
        labelled = [column.label(f"c{number}") for number, column in enumerate(self.columns)]
        return prepare_rows(self.resource, self.clauses, labelled)

    def ordered(self, nulls: Nulls) -> Select[Any]:
        """Give the SELECT in order, after a row whose keys are null where told, if after one."""
        query = ordered(self.rows, self.order)
        return query if nulls is None else query.where(later(self.order, nulls))

    def page(self, nulls: Nulls, limit: int | None, is_sqlite: bool) -> Fetch:
        """Give the SELECT of a page of up to `rows` rows, and a count up to one more than a limit."""
        if (nulls, limit) not in self.pages:
            query = self.ordered(nulls).limit(bindparam("rows", type_=Integer))
            is_plain = not hasattr(self.resource.source, "c") and not self.resource.grouped
            at_once = fetching_at_once(query, self.count(limit), is_sqlite) if is_plain else Fetch(query)
            self.pages[nulls, limit] = at_once
        return self.pages[nulls, limit]

    def count(self, limit: int | None) -> Select[Any]:
        """Give the SELECT that counts rows up to one more than a limit."""
        if limit not in self.counts:
            self.counts[limit] = counted(self.rows, limit)
        return self.counts[limit]


@dataclass(frozen=True)
class Plan:
    """One table request, settled: which rows, which fields, in which order."""

    ask: Ask
    prepared: Prepared
    clauses: tuple[Clause, ...]
    origin: tuple[Resource, tuple[Clause, ...]]

    @property
    def resource(self) -> Resource:
        """The table."""
        return self.prepared.resource

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields asked."""
        return self.prepared.fields

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fields as columns of a format."""
        known = self.resource.fields
        cited = Column("evidence", Kind.LIST, "figures whose words stand behind the row")
        return tuple(
            cited if name == "evidence" else Column(name, known[name].kind, known[name].description)
            for name in self.fields
        )

    def values_asked(self, after: Sequence[Any] | None = None) -> dict[str, Any]:
        """Give the values of the binds of a prepared statement."""
        bound = {clause.parameter: clause.bound for clause in self.clauses if clause.bound is not None}
        keys = {f"after{place}": key for place, key in enumerate(after or ())}
        return {"release": self.ask.edition.number, **bound, **keys}

    def page(self, connection: Connection, after: Sequence[Any] | None, limit: int) -> tuple[Selected, int | None]:
        """Give up to so many rows in order, after the row with these keys; and how many there are, if it is known."""
        fetch = self.prepared.page(nulls_of(after), self.count_limit, self.ask.service.database.is_sqlite)
        return fetch.columns(connection, {**self.values_asked(after), "rows": limit})

    def runs(self, connection: Connection, after: Sequence[Any] | None, size: int) -> Runs:
        """Begin to give every row in order, after the row with these keys."""
        query = self.prepared.ordered(nulls_of(after))
        return Runs(connection, query, self.values_asked(after), size, self.prepared.repeating)

    @property
    def count_limit(self) -> int | None:
        """Rows up to which a list is counted; null where all are."""
        return None if getattr(self.ask.params, "count", False) else self.ask.service.settings.count_limit

    def total(self, connection: Connection, selected: Selected, count: int | None) -> int | None:
        """Give how many rows there are in all; null where they are many, for then the count is not free."""
        if selected and self.resource.counted is not None:
            return int(selected[-1][0])
        limit = self.count_limit
        if count is None:
            count = connection.execute(self.prepared.count(limit), self.values_asked()).scalar_one()
        return None if limit is not None and count > limit else count

    def refuse(self, connection: Connection) -> None:
        """Refuse what must not be answered, found by a look at the rows."""
        if self.resource.refuse:
            self.resource.refuse(connection)

    def last_keys(self, selected: Selected) -> list[Any]:
        """Give the keys of the order of the last row."""
        return [selected[place][-1] for place in self.prepared.key_places]

    def records(self, connection: Connection, selected: Selected) -> list[dict[str, Any]]:
        """Turn selected rows into the fields asked."""
        names, rows = self.fields, zip(*self.made(connection, selected), strict=True)
        return [dict(zip(names, values, strict=True)) for values in rows]

    def made(self, connection: Connection, selected: Selected) -> list[Sequence[Any]]:
        """Turn selected rows into the fields asked, column by column, in their order."""
        if not selected:
            return []
        makers = self.prepared.makers
        columns = (make(self.ask, selected) if make else self.evidence(connection, selected) for make in makers)
        return [column if isinstance(column, Sequence) else list(column) for column in columns]

    def evidence(self, connection: Connection, selected: Selected) -> Iterable[Any]:
        """Give the evidence of selected rows; a dataset's rows have none, and are not looked for."""
        sources, of_words = selected[self.prepared.voice_place], self.ask.edition.names.proved
        if of_words.isdisjoint(distinct(sources)):
            return change(lambda found: [[]] * len(found), sources)
        proved = [source in of_words for source in sources]
        keys = list(self.prepared.maker(str(self.resource.identity))(self.ask, selected))
        wanted = [key for key, is_proved in zip(keys, proved, strict=True) if is_proved]
        found = evidence_of(connection, self.resource.record, wanted, self.ask.edition.number)
        return [found.get(key, []) for key in keys]


def unless_silent(values: Sequence[Any]) -> Sequence[Any]:
    """Give null where the source is silent."""
    if codes.NOT_STATED not in values:
        return values
    return [None if value == codes.NOT_STATED else value for value in values]


def nulls_of(after: Sequence[Any] | None) -> Nulls:
    """Say which keys are null."""
    return None if after is None else tuple(key is None for key in after)


def plan_list(ask: Ask, resource: Resource, clauses: tuple[Clause, ...], origin: tuple[Resource, Any]) -> Plan:
    """Plan a list: what its form has prepared before is taken as it is. Raises what is wrong with fields and sort.

    A resource that a request made for itself has no form that another could share.
    """
    params: Any = ask.params
    form_asked = WRITTEN.get(ask.format)
    is_flat = form_asked is not None and form_asked.spreads
    names = form_asked.reads if form_asked and form_asked.reads else params.fields

    def prepare() -> Prepared:
        fields = chosen(resource, names, flat=is_flat)
        return Prepared(resource, clauses, fields, order_of(resource, params.sort, clauses))

    if (resource, clauses) != origin:
        return Plan(ask, prepare(), clauses, origin)
    form = (resource, names, params.sort, is_flat, *(clause.shape for clause in clauses))
    return Plan(ask, ask.service.prepared.get(form, prepare), clauses, origin)


def plan_record(ask: Ask, resource: Resource, clause: Clause, names: Sequence[str]) -> Plan:
    """Plan a look at one record."""
    fields = chosen(resource, names)
    return Plan(ask, Prepared(resource, (clause,), fields, ()), (clause,), (resource, (clause,)))


def whole(value: float | None) -> float | int | None:
    """Give a number without a fraction as an integer: 30050000000, not 30050000000.0."""
    return int(value) if value is not None and value == int(value) else value
