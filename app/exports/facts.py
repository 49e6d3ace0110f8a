"""What the tables of a release hold, in few numbers: rows, sources, periods, places. Looked up once a release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, func

from app.ask import Service
from app.evidence import cited
from app.exports.tables import FORMATS, Table, planned
from app.filters import has_set
from app.formats.base import Cited, Column
from app.plan import Plan
from app.query import select_rows
from app.recent import Recent

KEPT = 8
"""Releases whose facts are kept in memory."""
PLACES = ("reporter", "partner", "country", "countries", "members")
"""Columns that hold codes of countries."""


@dataclass(frozen=True)
class Place:
    """A country, or what statistics use as one."""

    code: str
    name: str


@dataclass(frozen=True)
class TableFacts:
    """What a table holds."""

    columns: tuple[Column, ...]
    rows: int
    sources: tuple[str, ...]
    first: date | None = None  # day of the periods that are dated
    last: date | None = None
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a release holds."""

    release: int
    published: str  # ISO 8601
    tables: Mapping[str, TableFacts]
    sources: Mapping[str, Cited]


class Known:
    """The facts of the releases that were asked last."""

    def __init__(self, service: Service, tables: Sequence[Table]) -> None:
        self._service = service
        self._tables = tuple(tables)
        self._kept: Recent[Facts] = Recent(KEPT)

    def of(self, release: int) -> Facts:
        """Give the facts of a release. Raises Busy, QueryTimeout."""
        return self._kept.get(self._service.releases.key(release), lambda: self._look(release))

    def _look(self, release: int) -> Facts:
        service = self._service
        edition = service.releases.edition(release)
        found = {}
        with (
            service.exporting(),
            service.releases.read(edition, service.settings.export_timeout) as connection,
        ):
            for table in self._tables:
                found[table.name] = facts_of(connection, planned(service, table, FORMATS["csv"], release), table)
            slugs = {slug for one in found.values() for slug in one.sources}
            sources = {one.slug: one for one in cited(connection, slugs, release)}
        tables = {name: replace(one, sources=tuple(filter(sources.get, one.sources))) for name, one in found.items()}
        return Facts(release, f"{edition.published_at:%Y-%m-%dT%H:%M:%SZ}", tables, sources)


def facts_of(connection: Connection, plan: Plan, table: Table) -> TableFacts:
    """Look what a table holds."""
    model: Any = plan.resource.source

    def values(*columns: Any, distinct: bool = False) -> list[Any]:
        query = select_rows(plan.resource, plan.clauses, plan.ask.edition.number, columns)
        return list(connection.execute(query.distinct() if distinct else query))

    ((rows,),) = values(func.count())
    first = last = None
    if hasattr(model, "period_start"):
        ((first, last),) = values(func.min(model.period_start), func.max(model.period_end))
    codes: set[str] = set()
    for column in (getattr(model, name) for name in PLACES if hasattr(model, name)):
        for (value,) in values(column, distinct=True):
            codes |= set(value) if has_set(column) else {value}
    labels = plan.ask.edition.names.vocabularies["country"].labels
    places = tuple(Place(code, labels[code]) for code in sorted(codes - {None}) if code in labels)
    sources = sorted(slug for (slug,) in values(model.source, distinct=True)) if table.is_versioned else []
    return TableFacts(plan.columns, rows, tuple(sources), first, last, places)
