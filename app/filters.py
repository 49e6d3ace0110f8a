"""What a request narrows rows to: its parameters as conditions on columns, its names looked up. No HTTP.

A condition is made of a value, or of a bind in its place: then one statement serves every request of its form.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, bindparam, or_
from sqlalchemy.orm import InstrumentedAttribute

from app.errors import Fault, InvalidValue, UnknownName
from app.models import Codes
from app.names import Names
from app.params import given, narrowing, vocabulary
from app.releases import Edition

Column = ColumnElement[Any] | InstrumentedAttribute[Any]
Condition = ColumnElement[bool]
IN_ORDER = frozenset({"fields", "sort", "group_by"})
"""List parameters whose order says something; the values of the others are put in one order."""


def has_set(column: Column) -> bool:
    """Whether a column holds a set of codes."""
    return isinstance(column.type, Codes)


def among(column: Column, values: Any) -> Condition:
    """Narrow a column to values; a column that holds a set, to rows whose set has one of them."""
    if has_set(column):
        return or_(*(column.like(f"%|{value}|%") for value in values))
    return column.in_(values)


@dataclass(frozen=True)
class Where:
    """Marks a parameter with the columns it narrows: any of them in the values asked, or at least, or at most.

    `unless` names a parameter in whose presence another mark takes its place.
    """

    columns: tuple[Any, ...]
    op: str
    unless: str | None

    def __init__(self, *columns: Any, op: str = "in", unless: str | None = None) -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "op", op)
        object.__setattr__(self, "unless", unless)

    def condition(self, value: Any) -> Condition:
        """Give the condition that the asked value, or a bind in its place, makes."""
        if self.op == ">=":
            return or_(*(column >= value for column in self.columns))
        if self.op == "<=":
            return or_(*(column <= value for column in self.columns))
        return or_(*(among(column, value) for column in self.columns))

    def clause(self, parameter: str, params: Any, _: Edition) -> "Clause | None":
        """Give the filter that the asked value makes, if it is asked."""
        value = getattr(params, parameter)
        if not is_asked(value) or (self.unless and is_asked(getattr(params, self.unless))):
            return None
        values = value if isinstance(value, tuple) or self.op != "in" else (value,)
        holds = self.columns[0] if self.op == "in" and len(values) == len(self.columns) == 1 else None
        if any(map(has_set, self.columns)):
            return Clause(parameter, value, lambda _: self.condition(values), self.columns)
        return Clause(parameter, value, self.condition, self.columns, holds, values)


@dataclass(frozen=True)
class WhereBy:
    """Marks a parameter whose condition is a function of its value and of the release that is asked."""

    build: Callable[[Any, Edition], Condition]
    columns: tuple[Any, ...] = ()

    def clause(self, parameter: str, params: Any, edition: Edition) -> "Clause | None":
        """Give the filter that the asked value makes, if it is asked."""
        value = getattr(params, parameter)
        if not is_asked(value):
            return None
        return Clause(parameter, value, lambda one: self.build(one, edition), self.columns, form=edition.key)


@dataclass(frozen=True)
class WhereOf:
    """Marks a parameter whose condition is a function of several parameters; null is no condition."""

    build: Callable[[Any], Condition | None]
    reads: tuple[str, ...]
    columns: tuple[Any, ...] = ()

    def clause(self, parameter: str, params: Any, _: Edition) -> "Clause | None":
        """Give the filter that the parameters make, if they make one."""
        form = tuple(getattr(params, name) for name in self.reads)
        # It sees no more than it says it reads, since a statement is kept for these values.
        if (condition := self.build(SimpleNamespace(**dict(zip(self.reads, form, strict=True))))) is None:
            return None
        return Clause(parameter, getattr(params, parameter), lambda _: condition, self.columns, form=form)


@dataclass(frozen=True, eq=False)
class Clause:
    """One filter as it was asked."""

    parameter: str
    value: Any
    build: Callable[[Any], Condition]
    columns: tuple[Any, ...]
    holds: Any = None  # the column that has one value in all rows it leaves, if there is one: it orders nothing
    bound: Any = None  # what a bind in place of the value takes, where one can
    form: Hashable = None  # what else than parameter and value the condition is made of

    @classmethod
    def of(cls, parameter: str, value: Any, condition: Condition, columns: tuple[Any, ...]) -> "Clause":
        """Make a filter of a condition."""
        return cls(parameter, value, lambda _: condition, columns)

    @cached_property
    def condition(self) -> Condition:
        """The condition, with its value."""
        return self.build(self.value if self.bound is None else self.bound)

    @property
    def prepared(self) -> Condition:
        """The condition with a bind of the parameter's name, where it can have one."""
        if self.bound is None:
            return self.condition
        return self.build(bindparam(self.parameter, expanding=isinstance(self.bound, tuple)))

    @property
    def shape(self) -> Hashable:
        """What the prepared condition is made of: filters of one shape share a statement."""
        if self.bound is None:
            return self.parameter, self.value, self.form
        return self.parameter, self.holds is not None


def is_asked(value: Any) -> bool:
    """Whether a parameter says anything."""
    return not (value is None or value is False or value == ())


def key_is(what: str, column: Any, value: Any) -> Callable[[Any], Clause]:
    """Find a record by its key; where there is none, keys like it are suggested."""
    return lambda _: Clause.of(what, value, column == value, (column,))


def bind(params: BaseModel, names: Names) -> BaseModel:
    """Look up every name that a request holds, and put lists in order. Raises UnknownName with all that are unknown."""
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for parameter in given(params):
        book, words = vocabulary(type(params), parameter), getattr(params, parameter)
        several = isinstance(words, tuple)
        try:
            if book is not None and words:
                codes = names.resolve(book, parameter, words if several else (words,))
                if not several and len(codes) > 1:
                    message = f"{parameter} takes one country, {words[:60]!r} is a group of {', '.join(codes)}"
                    raise InvalidValue.of(Fault(parameter, words, message, codes))
                found[parameter] = words = codes if several else codes[0]
        except UnknownName as error:
            faults += error.faults
        if several and parameter not in IN_ORDER:
            found[parameter] = tuple(sorted(words, key=str))
    if faults:
        raise UnknownName.of(*faults)
    return params.model_copy(update=found)


@cache
def marks_of(model: type[BaseModel]) -> tuple[tuple[str, Any, bool], ...]:
    """Give the filters of a model in the order declared, and whether each stands where it is not asked for, too."""
    return tuple(
        (name, mark, isinstance(mark, WhereOf) or is_asked(model.model_fields[name].default))
        for name in narrowing(model)
        for mark in model.model_fields[name].metadata
        if isinstance(mark, Where | WhereBy | WhereOf)
    )


def clauses_of(params: BaseModel, edition: Edition) -> tuple[Clause, ...]:
    """Give the filters of a bound request in the order they are declared."""
    asked = params.model_fields_set
    marks = [(name, mark) for name, mark, stands in marks_of(type(params)) if stands or name in asked]
    return tuple(clause for name, mark in marks if (clause := mark.clause(name, params, edition)) is not None)
