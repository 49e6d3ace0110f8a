"""What a list can be asked: fields, filters, order and pages as one SELECT, and why it came back empty. No HTTP."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict
from rapidfuzz.distance import Levenshtein
from sqlalchemy import ColumnElement, Connection, Float, Select, and_, false, func, literal, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from app.codes import NOT_STATED
from app.errors import Fault, InvalidValue, UnknownName, nearest
from app.models import Codes
from app.names import OWN_VOICE, Names, visible
from app.params import narrowing, refuse_unknown_fields, vocabulary
from app.releases import Edition

Column = ColumnElement[Any] | InstrumentedAttribute[Any]
NEAR = 5
"""Existing values that an empty answer suggests."""
LOOKED_AT = 2000
"""Distinct values among which it looks for them."""
OPEN_WORDS = {"stated_by": OWN_VOICE, "period": NOT_STATED, "classification": NOT_STATED, "breakdown": NOT_STATED}
"""How parameters ask for what a source leaves open."""
IN_ORDER = frozenset({"fields", "sort", "group_by"})
"""List parameters whose order says something; the values of the others are put in one order."""


def without_required(schema: dict[str, Any]) -> None:
    """Say that no field is sure to be there: `fields=` leaves out what is not asked."""
    schema.pop("required", None)


class Row(BaseModel):
    """One row of an answer: declared once, it gives SELECT, JSON, CSV header and OpenAPI."""

    model_config = ConfigDict(json_schema_extra=without_required)


@dataclass(frozen=True)
class Is:
    """Marks a field with the expression it is; else it is the column of its name."""

    column: Any


@dataclass(frozen=True)
class Label:
    """Marks a field as what another field's code is called."""

    vocabulary: str
    field: str


@dataclass(frozen=True)
class Made:
    """Marks a field as made from other fields of its row and the request, once they are selected."""

    build: Callable[[Mapping[str, Any], Any], Any]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """Marks a field whose members are columns in a flat table, in JSON one object; `Resource.spread` has them."""


@dataclass(frozen=True)
class Where:
    """Marks a parameter with the columns it narrows: any of them in the values asked, or at least, or at most."""

    columns: tuple[Any, ...]
    op: str

    def __init__(self, *columns: Any, op: str = "in") -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "op", op)

    def condition(self, value: Any) -> ColumnElement[bool]:
        """Give the condition that the asked value makes."""
        if self.op == ">=":
            return or_(*(column >= value for column in self.columns))
        if self.op == "<=":
            return or_(*(column <= value for column in self.columns))
        values = value if isinstance(value, tuple) else (value,)
        return or_(*(among(column, values) for column in self.columns))

    def holds(self, value: Any) -> Any:
        """Give the column that it holds to one value, if it does."""
        one = isinstance(value, tuple) and len(value) == len(self.columns) == 1
        return self.columns[0] if one and not has_set(self.columns[0]) else None


@dataclass(frozen=True)
class WhereBy:
    """Marks a parameter whose condition is a function of its value and of the release that is asked."""

    build: Callable[[Any, Edition], ColumnElement[bool]]
    columns: tuple[Any, ...] = ()


@dataclass(frozen=True)
class WhereOf:
    """Marks a parameter whose condition is a function of all parameters; null is no condition."""

    build: Callable[[Any], ColumnElement[bool] | None]
    columns: tuple[Any, ...] = ()


def among(column: Column, values: Iterable[Any]) -> ColumnElement[bool]:
    """Narrow a column to values; a column that holds a set, to rows whose set has one of them."""
    if has_set(column):
        return or_(*(column.like(f"%|{value}|%") for value in values))
    return column.in_(list(values))


@dataclass(frozen=True)
class Clause:
    """One filter as it was asked."""

    parameter: str
    value: Any
    condition: ColumnElement[bool]
    columns: tuple[Any, ...]
    holds: Any = None  # the column that has one value in all rows it leaves, if there is one: it orders nothing


def has_set(column: Column) -> bool:
    """Whether a column holds a set of codes."""
    return isinstance(column.type, Codes)


def key_is(what: str, column: Any, value: Any) -> Callable[[Any], Clause]:
    """Find a record by its key; where there is none, keys like it are suggested."""
    return lambda _: Clause(what, value, column == value, (column,))


@dataclass(frozen=True)
class Field:
    """One field of a row: a column, or the label of another field, or made from others."""

    name: str
    column: Column | None = None
    label: Label | None = None
    made: Made | None = None
    is_cell: bool = False  # one of the members of a spread field: neither asked for nor sorted by alone

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields that must be selected for it."""
        if self.made:
            return self.made.needs
        return (self.label.field,) if self.label else (self.name,)

    @property
    def is_number(self) -> bool:
        """Whether its whole values are given without a fraction."""
        return self.column is not None and isinstance(self.column.type, Float)

    @property
    def sortable(self) -> bool:
        """Whether rows can be put in its order."""
        return self.column is not None and not self.is_cell and not has_set(self.column)


def every_row(_: int) -> ColumnElement[bool]:
    """Leave a subquery as it is: the release was asked inside it."""
    return true()


@dataclass(frozen=True)
class Resource:
    """A table as the interface shows it."""

    record: str  # name in evidence and file names
    row: type[Row]
    source: Any  # mapped class, or subquery whose columns have the fields' names
    key: tuple[Column, ...]  # makes every order total
    sort: tuple[str, ...]  # when none is asked
    identity: Column | None = None  # text key of a record, where records have evidence
    visible: Callable[[int], ColumnElement[bool]] | None = None  # else rows by their release
    refuse: Callable[[Connection], None] | None = None  # what must not be answered, found by a look at the rows
    extras: frozenset[str] = field(default=frozenset())  # fields of the row that are no columns
    grouped: tuple[Column, ...] = ()  # what its rows are groups by, where they are groups
    counted: Column | None = None  # how many rows there are in all, where each row can tell
    spread: Mapping[str, Column] = field(default_factory=dict)  # members of its spread field

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Every field of the row but evidence and extras, in the order declared."""
        selected = getattr(self.source, "c", None)  # a subquery has the fields by their names
        columns = self.source if selected is None else selected
        found = {}
        for name, info in self.row.model_fields.items():
            marks = {type(mark): mark for mark in info.metadata}
            if name == "evidence" or name in self.extras:
                continue
            if Label in marks:
                found[name] = Field(name, label=marks[Label])
            elif Made in marks:
                found[name] = Field(name, made=marks[Made])
            elif Spread in marks:
                found |= {member: Field(member, column, is_cell=True) for member, column in self.spread.items()}
                found[name] = Field(name, made=Made(lambda row, _: row, tuple(self.spread)))
            elif Is in marks and selected is None:
                found[name] = Field(name, column=marks[Is].column)
            else:
                found[name] = Field(name, column=getattr(columns, name))
        return found

    @property
    def has_evidence(self) -> bool:
        """Whether its records carry the words behind them."""
        return "evidence" in self.row.model_fields

    def rows_of(self, release: int) -> ColumnElement[bool]:
        """Narrow the table to a release."""
        return (self.visible or (lambda number: visible(self.source, number)))(release)


def bind(params: BaseModel, names: Names) -> BaseModel:
    """Look up every name that a request holds, and put lists in order. Raises UnknownName with all that are unknown."""
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for parameter in type(params).model_fields:
        book, words = vocabulary(type(params), parameter), getattr(params, parameter)
        if book is None or not words:
            continue
        try:
            several = isinstance(words, tuple)
            codes = names.resolve(book, parameter, words if several else (words,))
            if not several and len(codes) > 1:
                message = f"{parameter} takes one country, {words[:60]!r} is a group of {', '.join(codes)}"
                raise InvalidValue.of(Fault(parameter, words, message, codes))
            found[parameter] = codes if several else codes[0]
        except UnknownName as error:
            faults += error.faults
    if faults:
        raise UnknownName.of(*faults)
    for parameter, value in params:
        if isinstance(value, tuple) and parameter not in IN_ORDER:
            found[parameter] = tuple(sorted(found.get(parameter, value), key=str))
    return params.model_copy(update=found)


def clauses_of(params: BaseModel, edition: Edition) -> tuple[Clause, ...]:
    """Give the filters of a bound request in the order they are declared."""
    found = []
    for parameter in narrowing(type(params)):
        value = getattr(params, parameter)
        is_asked = not (value is None or value is False or value == ())
        for mark in type(params).model_fields[parameter].metadata:
            if isinstance(mark, WhereOf) and (condition := mark.build(params)) is not None:
                found.append(Clause(parameter, value, condition, mark.columns))
            elif not is_asked:
                continue
            elif isinstance(mark, Where):
                found.append(Clause(parameter, value, mark.condition(value), mark.columns, mark.holds(value)))
            elif isinstance(mark, WhereBy):
                found.append(Clause(parameter, value, mark.build(value, edition), mark.columns))
    return tuple(found)


@dataclass(frozen=True)
class Order:
    """One key of a sort."""

    column: Column
    descending: bool
    nullable: bool


def order_of(resource: Resource, sort: Sequence[str], clauses: Iterable[Clause] = ()) -> tuple[Order, ...]:
    """Read `-value_usd,year` as an order that is total, without columns that the filters hold. Raises InvalidValue.

    Without them, the order is one that an index of the held columns has, and a page is read from where it begins.
    """
    sortable = {name: one.column for name, one in resource.fields.items() if one.sortable}
    orders: list[Order] = []
    for word in sort or resource.sort:
        name = word.removeprefix("-")
        if name not in sortable:
            allowed = tuple(sortable)
            message = f"sort cannot be {word[:60]!r}: it takes {', '.join(allowed)}, each with - before it or not"
            raise InvalidValue.of(Fault("sort", word, message, allowed, nearest(name, allowed)))
        orders.append(order_by(sortable[name], word.startswith("-")))
    taken = {id(order.column) for order in orders}
    orders += [order_by(column, False) for column in resource.key if id(column) not in taken]
    held = {id(clause.holds) for clause in clauses}
    return tuple(order for order in orders if id(order.column) not in held) or tuple(orders[-1:])


def order_by(column: Any, descending: bool) -> Order:
    """Make one key of a sort; an expression may be null."""
    return Order(column, descending, getattr(column, "nullable", None) is not False)


def chosen(resource: Resource, names: Sequence[str], flat: bool = False) -> tuple[str, ...]:
    """Give the fields asked, or all; in a flat table the members of a spread field. Raises InvalidValue."""
    allowed = tuple(name for name, one in resource.fields.items() if not one.is_cell)
    allowed += ("evidence",) if resource.has_evidence else ()
    refuse_unknown_fields(names, allowed)
    wanted = tuple(names) or allowed
    marked = {name for name, info in resource.row.model_fields.items() if flat and Spread() in info.metadata}
    return tuple(one for name in wanted for one in (resource.spread if name in marked else (name,)))


def select_rows(resource: Resource, clauses: Iterable[Clause], release: int, columns: Sequence[Column]) -> Select[Any]:
    """Select columns of the rows that the filters leave in a release."""
    query = select(*columns).where(resource.rows_of(release), *(clause.condition for clause in clauses))
    return query.group_by(*resource.grouped) if resource.grouped else query


def ordered(query: Select[Any], order: Sequence[Order], after: Sequence[Any] | None) -> Select[Any]:
    """Put rows in order, null last, and begin after the row whose keys are given."""
    keys = [key.column.desc() if key.descending else key.column.asc() for key in order]
    query = query.order_by(*(key.nulls_last() if one.nullable else key for one, key in zip(order, keys, strict=True)))
    return query if after is None else query.where(later(order, after))


def later(order: Sequence[Order], after: Sequence[Any]) -> ColumnElement[bool]:
    """Narrow to rows that stand after one in an order: by row value where an index can serve it."""
    if len({key.descending for key in order}) == 1 and not any(key.nullable for key in order):
        here = tuple_(*(key.column for key in order))
        there = tuple_(*(literal(value, key.column.type) for key, value in zip(order, after, strict=True)))
        return here < there if order[0].descending else here > there
    steps: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, value in zip(order, after, strict=True):
        steps.append(and_(*equal, beyond(key, value)))
        equal.append(key.column.is_(None) if value is None else key.column == literal(value, key.column.type))
    return or_(*steps)


def beyond(key: Order, value: Any) -> ColumnElement[bool]:
    """Narrow one key to what stands after a value; nothing stands after null."""
    if value is None:
        return false()
    there = literal(value, key.column.type)  # truth, too, has an order
    past = key.column < there if key.descending else key.column > there
    return or_(past, key.column.is_(None)) if key.nullable else past


def count_rows(connection: Connection, query: Select[Any], limit: int | None) -> int | None:
    """Count rows up to a limit; null when there are more, for then the count is not free."""
    inner = query.with_only_columns(literal(1), maintain_column_froms=True).order_by(None)
    if limit is not None:
        inner = inner.limit(limit + 1)
    total = connection.execute(select(func.count()).select_from(inner.subquery())).scalar_one()
    return None if limit is not None and total > limit else total


def why_empty(
    connection: Connection, resource: Resource, clauses: Sequence[Clause], release: int
) -> dict[str, Any] | None:
    """Give the first filter that leaves nothing, and the values nearest to it that exist beside the filters before."""
    for number, clause in enumerate(clauses):
        query = select_rows(resource, clauses[: number + 1], release, [literal(1)]).limit(1)
        if connection.execute(query).first() is None:
            near = near_values(connection, resource, clause, clauses[:number], release)
            asked = [str(value) for value in clause.value] if isinstance(clause.value, tuple) else [str(clause.value)]
            return {"parameter": clause.parameter, "value": asked, "nearest": near}
    return None


def near_values(
    connection: Connection, resource: Resource, clause: Clause, before: Sequence[Clause], release: int
) -> list[Any]:
    """Give existing values of a filter's columns, those most like what was asked first."""
    asked = clause.value[0] if isinstance(clause.value, tuple) else clause.value
    is_number = isinstance(asked, int | float)
    found: set[Any] = set()
    for column in clause.columns:
        query = select_rows(resource, before, release, [column]).where(column.is_not(None)).distinct()
        runs = neighbours(query, column, asked) if is_number else [query.order_by(column).limit(LOOKED_AT)]
        for run in runs:
            for (value,) in connection.execute(run):
                found.update(value if isinstance(value, tuple) else (value,))
    askable = {spoken(clause.parameter, value) for value in found} - {None}
    return sorted(askable, key=lambda value: (distance(asked, value), str(value)))[:NEAR]


def neighbours(query: Select[Any], column: Any, asked: float) -> list[Select[Any]]:
    """Ask for the values next to a number on either side, so that no table is too large."""
    below = query.where(column <= asked).order_by(column.desc()).limit(NEAR)
    return [below, query.where(column > asked).order_by(column).limit(NEAR)]


def spoken(parameter: str, value: Any) -> Any:
    """Give a value as it can be asked for; what is not stated has a word for some parameters only."""
    return OPEN_WORDS.get(parameter) if value == NOT_STATED else value


def distance(asked: Any, value: Any) -> float:
    """Tell how far a value is from what was asked: in numbers, or in letters."""
    if isinstance(asked, int | float) and isinstance(value, int | float):
        return abs(float(asked) - float(value))
    return float(Levenshtein.distance(str(asked), str(value)))
