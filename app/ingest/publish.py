"""Publishing: what changed between a dataset and the current release becomes the next release, whole or not at all."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Table, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from app import fault, search
from app.codes import ReleaseKind
from app.db import notify
from app.models import Base, Release, SearchEntry
from app.sqlstates import reason, refuses

Record = Mapping[str, Any]
Counts = Mapping[str, int]
VERSION = frozenset({"release", "superseded_by", "id"})
"""Columns that say when, not what; `id` is a figure's and a quote's key, and kept there."""
LATER = ("Evidence", "SearchEntry")
"""Tables whose rows speak of rows of the others."""
MODELS: tuple[type[Any], ...] = tuple(
    sorted(
        (m.class_ for m in Base.registry.mappers if m.class_ is not Release),
        key=lambda m: (m.__name__ in LATER, m.__name__),
    )
)
"""Every published table, in the order of publishing."""


class RowRefused(Exception):
    """A row that breaks a constraint of the database."""

    def __init__(self, model: type[Any], record: Record, why: str) -> None:
        super().__init__(why)
        self.model = model
        self.record = record


@dataclass
class Dataset:
    """Everything that one publication says: the records of each table, by the sources it speaks for."""

    name: str
    kind: ReleaseKind
    sources: tuple[str, ...]
    sha256: str
    records: dict[type[Any], list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """What a publication does to one table."""

    added: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    removed: list[tuple[Any, ...]]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def counts(self) -> Counts:
        """How many rows there are of each."""
        return {"added": len(self.added), "changed": len(self.changed), "removed": len(self.removed)}


def publish(connection: Connection, dataset: Dataset, now: datetime | None = None) -> int | None:
    """Publish a dataset in the open transaction; give the release's number, or null when nothing changed."""
    with_words(dataset)
    changes = {model: compare(connection, model, dataset) for model in MODELS}
    if not any(changes.values()):
        return None
    number = next_release(connection)
    counts = {model.__tablename__: change.counts for model, change in changes.items() if change}
    add_release(connection, number, dataset.kind, dataset.name, dataset.sha256, counts, now)
    for model, change in changes.items():
        write(connection, model, change, number)
    return number


def next_release(connection: Connection) -> int:
    """Give the number of the release that is to be published."""
    return (connection.execute(select(func.max(Release.id))).scalar() or 0) + 1


def add_release(
    connection: Connection,
    number: int,
    kind: ReleaseKind,
    source: str,
    sha256: str | None,
    counts: Mapping[str, Counts],
    now: datetime | None = None,
    **more: Any,
) -> None:
    """Add the row of a release, with what it does to each table, and tell it to who listens."""
    whole = {name: sum(one[name] for one in counts.values()) for name in ("added", "changed", "removed")}
    values = {
        "published_at": now or datetime.now(UTC).replace(microsecond=0),
        "sha256": sha256,
        "rows_added": whole["added"],
        "rows_changed": whole["changed"],
        "rows_removed": whole["removed"],
        "rows_rejected": 0,
        "changes": orjson.dumps(counts).decode(),
        **more,
    }
    connection.execute(insert(Release).values(id=number, kind=kind, source=source, **values))
    notify(connection, number)


def with_words(dataset: Dataset) -> None:
    """Add the search entries of the records that have words."""
    dataset.records[SearchEntry] = [
        search.entry(model, record) for model in search.WORDED for record in dataset.records.get(model, ())
    ]


def content(model: type[Any]) -> list[str]:
    """Give the columns that say what a record is."""
    names: list[str] = [column.name for column in model.__table__.columns]
    return [name for name in names if name not in VERSION or name in model.key]


def compare(connection: Connection, model: type[Any], dataset: Dataset) -> Changes:
    """Hold a dataset's records of one table against the current ones of its sources."""
    table: Table = model.__table__
    names = content(model)
    current = {}
    query = select(*(table.c[name] for name in names)).where(
        table.c.superseded_by.is_(None), table.c.source.in_(dataset.sources)
    )
    for row in connection.execute(query):
        record = dict(zip(names, row, strict=True))
        current[key_of(model, record)] = record
    said = {key_of(model, record): record for record in dataset.records.get(model, ())}
    return Changes(
        added=[record for key, record in said.items() if key not in current],
        changed=[record for key, record in said.items() if key in current and current[key] != record],
        removed=[key for key in current if key not in said],
    )


def key_of(model: type[Any], record: Record) -> tuple[Any, ...]:
    """Give the key of a record."""
    return tuple(record[name] for name in model.key)


def write(connection: Connection, model: type[Any], change: Changes, number: int) -> None:
    """Supersede what changed or ended, then add the new versions."""
    table: Table = model.__table__
    ended = [*change.removed, *(key_of(model, record) for record in change.changed)]
    for key in ended:
        same = [table.c[name] == value for name, value in zip(model.key, key, strict=True)]
        connection.execute(update(table).where(table.c.superseded_by.is_(None), *same).values(superseded_by=number))
    fresh = [{**record, "release": number} for record in (*change.added, *change.changed)]
    fault.point("publish.ended")
    if not fresh:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(table), fresh)
    except DBAPIError as error:
        if refuses(error):
            find_refused(connection, model, fresh)
        raise


def find_refused(connection: Connection, model: type[Any], rows: Iterable[Record]) -> None:
    """Insert rows one by one to find the one that the database refuses. Raises RowRefused."""
    for row in rows:
        try:
            with connection.begin_nested():
                connection.execute(insert(model.__table__), [row])
        except DBAPIError as error:
            if not refuses(error):
                raise
            raise RowRefused(model, row, reason(error)) from error


def digest(parts: Iterable[bytes]) -> str:
    """Give the SHA-256 of several files one after the other."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()
