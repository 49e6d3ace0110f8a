"""Why a list came back empty: the first filter that leaves nothing, and what there is near it."""

from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein
from sqlalchemy import Connection, Select, literal

from app.codes import NOT_STATED
from app.filters import Clause
from app.names import OWN_VOICE
from app.query import Resource, select_rows
from app.releases import Edition

NEAR = 5
"""Existing values that an empty answer suggests."""
LOOKED_AT = 2000
"""Distinct values among which it looks for them."""
OPEN_WORDS = {"stated_by": OWN_VOICE, "period": NOT_STATED, "classification": NOT_STATED, "breakdown": NOT_STATED}
"""How parameters ask for what a source leaves open."""


def why_empty(
    connection: Connection, resource: Resource, clauses: Sequence[Clause], edition: Edition
) -> dict[str, Any] | None:
    """Give the first filter that leaves nothing, and the values nearest to it that exist beside the filters before.

    A `note` says of products what no nearest value would.
    """
    for number, clause in enumerate(clauses):
        if leaves_nothing(connection, resource, clauses[: number + 1], edition):
            near = near_values(connection, resource, clause, clauses[:number], edition.number)
            asked = [str(value) for value in clause.value] if isinstance(clause.value, tuple) else [str(clause.value)]
            found = {"parameter": clause.parameter, "value": asked, "nearest": near}
            unknown = unknown_products(edition, asked) if clause.parameter == "product" else []
            if unknown and leaves_nothing(connection, resource, (clause,), edition):
                found["note"] = f"{', '.join(unknown)}: in none of the data, and no code of HS 2022"
            return found
    return None


def leaves_nothing(connection: Connection, resource: Resource, clauses: Sequence[Clause], edition: Edition) -> bool:
    """Whether no row is left by filters."""
    query = select_rows(resource, clauses, edition.number, [literal(1)]).limit(1)
    return connection.execute(query).first() is None


def unknown_products(edition: Edition, asked: Sequence[str]) -> list[str]:
    """Give the codes that are none of HS 2022."""
    known = edition.names.vocabularies["product"].labels
    return [code for code in asked if code not in known]


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
