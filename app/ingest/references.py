"""Names that records hold: each must be a key of the table it names, in the same seeds or already published."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from app.codes import NOT_STATED
from app.ingest.publish import MODELS, Dataset
from app.models import SearchEntry
from app.nearest import nearest

NAMED: Mapping[str, tuple[str, ...]] = {
    "country": ("countries",),
    "countries": ("countries",),
    "members": ("countries",),
    "reporter": ("countries",),
    "partner": ("countries",),
    "within": ("countries",),
    "stated_by": ("experts", "organizations"),
    "expert": ("experts",),
    "raised_by": ("experts",),
    "organization": ("organizations",),
    "programme": ("programmes",),
    "part_of": ("programmes",),
    "parent": ("products",),
    "topics": ("topics",),
    "theme": ("topics",),
    "indicator": ("indicators",),
    "figure": ("figures",),
    "figures": ("figures",),
    "expected": ("figures",),
    "quotes": ("quotes",),
    "continues": ("quotes",),
    "source": ("sources",),
}
"""Columns that hold keys of other tables: the same word means the same everywhere."""
OPEN = (None, "", NOT_STATED)
"""Values that name nothing."""


def known_keys(connection: Connection, datasets: Sequence[Dataset]) -> Mapping[str, set[str]]:
    """Give the keys of each table that is named: those published by other sources, and those of the datasets."""
    ours = {source for dataset in datasets for source in dataset.sources}
    found: dict[str, set[str]] = {}
    for model in MODELS:
        table = model.__table__
        if len(model.key) == 1:
            key = table.c[model.key[0]]
            query = select(key).where(table.c.superseded_by.is_(None), table.c.source.not_in(ours))
            found[table.name] = set(connection.execute(query).scalars())
            found[table.name] |= {row[model.key[0]] for one in datasets for row in one.records.get(model, ())}
    return found


def unknown_names(
    dataset: Dataset, known: Mapping[str, set[str]]
) -> Iterable[tuple[type[Any], Mapping[str, Any], str, str]]:
    """Give each record whose field names something that is not there: model, record, field and what is wrong."""
    for model, records in dataset.records.items():
        if model is SearchEntry:
            continue
        fields = [column.name for column in model.__table__.columns if column.name in NAMED]
        for record in records:
            for name in fields:
                value = record.get(name)
                for one in value if isinstance(value, tuple) else (value,):
                    if one not in OPEN and not any(one in known[table] for table in NAMED[name]):
                        keys = [key for table in NAMED[name] for key in known[table]]
                        where = " or ".join(NAMED[name])
                        yield model, record, name, f"{one!r} is not in {where}; like it is {nearest(str(one), keys)!r}"
