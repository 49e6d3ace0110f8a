"""What a table of the exports is, and a table's rows as the bytes that its list streams."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from starlette.requests import Request

from app import answer
from app.ask import Ask, Service
from app.filters import bind, clauses_of
from app.formats import TABLE_FORMATS
from app.formats.base import Format
from app.params import ListParams
from app.plan import Plan, plan_list
from app.query import Resource

FORMATS = {name: TABLE_FORMATS[name] for name in ("csv", "parquet")}
"""Formats that a table is exported in."""


@dataclass(frozen=True, eq=False)
class Table:
    """A list that is exported whole: every row and field, in the order and with the filters that it has unasked."""

    name: str  # of its files: trade-flows
    path: str  # of its list
    title: str
    resource: Resource
    params: type[ListParams]

    @property
    def description(self) -> str:
        """What a row is."""
        return (self.resource.row.__doc__ or "").strip()

    @property
    def is_versioned(self) -> bool:
        """Whether its rows are records of sources, held to each other when they are published."""
        return hasattr(self.resource.source, "superseded_by")

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Fields that tell its rows apart."""
        return (self.resource.identity,) if self.resource.identity else tuple(str(one.key) for one in self.resource.key)


def planned(service: Service, table: Table, form: Format, release: int) -> Plan:
    """Plan a table of a release as a request for its list would, so that the bytes are the same."""
    edition = service.releases.edition(release)
    scope = {"type": "http", "path": table.path, "headers": [], "query_string": b""}
    request = Request({**scope, "root_path": service.settings.root_path})
    params: Any = bind(table.params(format=form.name, release=release), edition.names)
    ask = Ask(request, service, params, edition, form.name)
    origin = (table.resource, clauses_of(params, edition))
    return plan_list(ask, *origin, origin)


def parts(plan: Plan) -> Iterator[tuple[bytes, int]]:
    """Give the bytes of a table bit by bit, each with how many rows it is of. Raises what `Database.read` does."""
    with plan.ask.read(plan.ask.service.settings.export_timeout) as connection:
        plan.refuse(connection)
        yield from answer.parts(connection, plan)


def written_by(form: Format) -> str:
    """Name a format with the version of the library that writes it, on which its bytes depend."""
    return f"{form.name} {version(form.library)}" if form.library else form.name


def digest(*words: str) -> str:
    """Give a short name for words, the same on every machine."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
