"""What a list has: fields, order and pages as one SELECT. No HTTP."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from app.codes import NOT_STATED
from app.errors import Fault, InvalidValue
from app.filters import Clause, Column, has_set
from app.formats.base import Column as FormatColumn
from app.formats.base import Kind
from app.names import visible
from app.nearest import nearest
from app.params import refuse_unknown_fields


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
class Open:
    """Marks a field whose column has a word where the source is silent: null in answers, and last in every order."""


@dataclass(frozen=True)
class Label:
    """Marks a field as what another field's code is called."""

    vocabulary: str
    field: str


@dataclass(frozen=True)
class Made:
    """Marks a field as made from other fields, once they are selected: of all rows, column by column, as stored."""

    build: Callable[..., Iterable[Any]]  # of the request and the columns needed
    needs: tuple[str, ...]


def each(build: Callable[..., Any]) -> Callable[..., Iterable[Any]]:
    """Make a field row by row."""
    return lambda ask, *columns: map(partial(build, ask), *columns)


@dataclass(frozen=True)
class Spread:
    """Marks a field whose members are columns in a flat table, in JSON one object; `Resource.spread` has them."""


@dataclass(frozen=True)
class Field:
    """One field of a row: a column, or the label of another field, or made from others; rows are sorted by columns."""

    name: str
    column: Column | None = None
    is_open: bool = False
    label: Label | None = None
    made: Made | None = None
    kind: Kind = Kind.TEXT
    description: str = ""
    is_cell: bool = False  # one of the members of a spread field: neither asked for nor sorted by alone

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields that must be selected for it."""
        if self.made:
            return self.made.needs
        return (self.label.field,) if self.label else (self.name,)

    @property
    def ordering(self) -> Any:
        """What rows are put in order by."""
        return unless_open(self.column) if self.is_open else self.column

    @property
    def is_number(self) -> bool:
        """Whether its whole values are given without a fraction."""
        return self.column is not None and isinstance(self.column.type, Float)

    @property
    def sortable(self) -> bool:
        """Whether rows can be put in its order."""
        return self.column is not None and not self.is_cell and not has_set(self.column)


def column_of(name: str, info: FieldInfo) -> FormatColumn:
    """Give a field as a column of a format that nests nothing: what is nested is JSON in text."""
    kind = kind_of(info)
    return FormatColumn(name, Kind.TEXT if kind is Kind.OBJECT else kind, info.description or "")


KINDS: dict[Any, Kind] = {bool: Kind.TRUTH, int: Kind.INTEGER, float: Kind.NUMBER, dict: Kind.OBJECT}
DATED = {"date": Kind.DAY, "date-time": Kind.MOMENT}


def kind_of(info: FieldInfo) -> Kind:
    """Give what the values of a field are, by its annotation."""
    choices = [one for one in get_args(info.annotation) if one is not NoneType]
    annotation = info.annotation if get_origin(info.annotation) not in (Union, UnionType) else choices[0]
    origin = get_origin(annotation) or annotation
    if origin is list:
        return Kind.LIST if get_args(annotation)[0] is str else Kind.OBJECT
    extra = info.json_schema_extra
    form = str(extra.get("format")) if isinstance(extra, dict) else ""
    return KINDS.get(origin) or DATED.get(form, Kind.TEXT)


def unless_open(column: Any) -> Any:
    """Give a key column, null where the source leaves it open."""
    return func.nullif(column, NOT_STATED, type_=column.type)


def every_row(_: Any) -> ColumnElement[bool]:
    """Leave a subquery as it is: the release was asked inside it."""
    return true()


@dataclass(frozen=True, eq=False)
class Resource:
    """A table as the interface shows it."""

    record: str  # name in evidence and file names
    row: type[Row]
    source: Any  # mapped class, or subquery whose columns have the fields' names
    key: tuple[Column, ...]  # makes every order total
    sort: tuple[str, ...]  # when none is asked
    identity: str | None = None  # field that is the text key of a record, where records have evidence
    visible: Callable[[Any], ColumnElement[bool]] | None = None  # else rows by their release
    refuse: Callable[[Connection], None] | None = None  # what must not be answered, found by a look at the rows
    extras: frozenset[str] = field(default=frozenset())  # fields of the row that are no columns
    grouped: tuple[Column, ...] = ()  # what its rows are groups by, where they are groups
    repeats: tuple[Column, ...] = ()  # columns whose values are mostly those of the row before
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
            said: dict[str, Any] = {"kind": kind_of(info), "description": info.description or ""}
            if Label in marks:
                found[name] = Field(name, label=marks[Label], **said)
            elif Made in marks:
                column = marks[Is].column if Is in marks and selected is None else getattr(columns, name, None)
                found[name] = Field(name, column, made=marks[Made], **said)
            elif Spread in marks:
                of_cells: dict[str, Any] = {"kind": Kind.INTEGER, "is_cell": True}
                found |= {member: Field(member, column, **of_cells) for member, column in self.spread.items()}
                found[name] = Field(name, made=spread_over(tuple(self.spread)), **said)
            elif Is in marks and selected is None:
                found[name] = Field(name, column=marks[Is].column, **said)
            else:
                found[name] = Field(name, getattr(columns, name), Open in marks, **said)
        return found

    @property
    def has_evidence(self) -> bool:
        """Whether its records carry the words behind them."""
        return "evidence" in self.row.model_fields

    def rows_of(self, release: Any) -> ColumnElement[bool]:
        """Narrow the table to a release, or to a bind of one."""
        return (self.visible or (lambda number: visible(self.source, number)))(release)


def spread_over(members: tuple[str, ...]) -> Made:
    """Give the object of a spread field."""
    return Made(each(lambda _, *values: dict(zip(members, values, strict=True))), members)


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
    sortable = {name: one.ordering for name, one in resource.fields.items() if one.sortable}
    orders: list[Order] = []
    for word in sort or resource.sort:
        name = word.removeprefix("-")
        if name not in sortable:
            allowed = tuple(sortable)
            message = f"sort cannot be {word[:60]!r}: it takes {', '.join(allowed)}, each with - before it or not"
            raise InvalidValue.of(Fault("sort", word, message, allowed, sort_meant(word, allowed)))
        orders.append(order_by(sortable[name], word.startswith("-")))
    taken = {id(order.column) for order in orders}
    orders += [order_by(column, False) for column in resource.key if id(column) not in taken]
    held = {id(clause.holds) for clause in clauses}
    return tuple(order for order in orders if id(order.column) not in held) or tuple(orders[-1:])


def sort_meant(word: str, allowed: Iterable[str]) -> str | None:
    """Give the sort that was meant, as other interfaces spell it too: -year for `year desc` and `year:desc`."""
    name, _, direction = re.sub(r"[\s:.]+", " ", word.strip(" +-")).partition(" ")
    meant = nearest(name, allowed)
    is_descending = word.startswith("-") or direction.casefold().startswith("desc")
    return f"-{meant}" if meant and is_descending else meant


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
    return select_where(resource, (clause.condition for clause in clauses), release, columns)


def prepare_rows(resource: Resource, clauses: Iterable[Clause], columns: Sequence[Column]) -> Select[Any]:
    """Select columns as `select_rows` does, with binds for the release and the values of filters."""
    release = bindparam("release", type_=Integer)
    return select_where(resource, (clause.prepared for clause in clauses), release, columns)


def select_where(
    resource: Resource, conditions: Iterable[ColumnElement[bool]], release: Any, columns: Sequence[Column]
) -> Select[Any]:
    """Select columns of the rows of a release, or of a bind of one, under conditions."""
    query = select(*columns).where(resource.rows_of(release), *conditions)
    return query.group_by(*resource.grouped) if resource.grouped else query


def ordered(query: Select[Any], order: Sequence[Order]) -> Select[Any]:
    """Put rows in order, null last."""
    keys = [key.column.desc() if key.descending else key.column.asc() for key in order]
    return query.order_by(*(key.nulls_last() if one.nullable else key for one, key in zip(order, keys, strict=True)))


def later(order: Sequence[Order], nulls: Sequence[bool]) -> ColumnElement[bool]:
    """Narrow to rows that stand after one in an order, by binds `after0` ...: by row value where an index can serve it.

    `nulls` says which keys of that row are null, and need no bind.
    """
    there = [bindparam(f"after{place}", type_=key.column.type) for place, key in enumerate(order)]
    if len({key.descending for key in order}) == 1 and not any(key.nullable for key in order):
        here, beyond_it = tuple_(*(key.column for key in order)), tuple_(*there)
        return here < beyond_it if order[0].descending else here > beyond_it
    steps: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for key, value, is_null in zip(order, there, nulls, strict=True):
        steps.append(and_(*equal, false() if is_null else beyond(key, value)))
        equal.append(key.column.is_(None) if is_null else key.column == value)
    return or_(*steps)


def beyond(key: Order, value: BindParameter[Any]) -> ColumnElement[bool]:
    """Narrow one key to what stands after a value; nothing stands after null."""
    past = key.column < value if key.descending else key.column > value
    return or_(past, key.column.is_(None)) if key.nullable else past


def counted(query: Select[Any], limit: int | None) -> Select[int]:
    """Count rows, up to one more than a limit."""
    inner = query.with_only_columns(literal(1), maintain_column_froms=True).order_by(None)
    if limit is not None:
        inner = inner.limit(limit + 1)
    return select(func.count()).select_from(inner.subquery())
