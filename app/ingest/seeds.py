"""Seed files: one folder a source, YAML and CSV that a person reads and edits; faults are told with file and line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app import fault
from app.codes import NOT_STATED, ReleaseKind
from app.db import Database
from app.errors import SeedInvalid
from app.ingest import csv_lines, yaml_lines
from app.ingest.publish import Dataset, RowRefused, digest, key_of, publish
from app.ingest.records import OF_FIGURE, RECORDS, TABLES, Unfit, complete
from app.ingest.references import known_keys, unknown_names
from app.ingest.yaml_lines import Lined
from app.models import Evidence, Figure, Source, TradeFlow
from app.nearest import nearest

FRAGMENT = ("exact", "start", "end")
LOADERS: Mapping[str, Callable[[Path, str], Lined]] = {
    ".yaml": yaml_lines.load,
    ".yml": yaml_lines.load,
    ".csv": csv_lines.load,
}
"""What reads a seed file as its tables, by the file's suffix."""


class Words(BaseModel):
    """Words behind a field that hold no number."""

    model_config = ConfigDict(extra="forbid")

    exact: str = Field(min_length=1, max_length=200)
    start: int = Field(ge=0, le=2**31 - 1)
    end: int = Field(ge=1, le=2**31 - 1)


@dataclass(frozen=True)
class Place:
    """Where a record stands in a seed file."""

    file: str
    lines: Lined

    def at(self, field: str, message: str) -> str:
        """Give a message with file and line."""
        return f"{self.file}:{self.lines.line_of(field)} {message}"


@dataclass(frozen=True)
class Proof:
    """What proves one field of one record: a figure's id, or words."""

    model: type[Any]
    record: dict[str, Any]
    field: str
    said: str | Words
    place: Place


@dataclass
class Folder:
    """One seed folder, read: a dataset, where each of its records stands, and what is wrong."""

    dataset: Dataset
    places: dict[tuple[type[Any], tuple[Any, ...]], Place] = field(default_factory=dict)
    proofs: list[Proof] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def place(self, model: type[Any], record: Mapping[str, Any]) -> Place:
        """Give the place of a record."""
        return self.places[model, key_of(model, record)]


def seed(database: Database, directory: Path, now: datetime | None = None) -> list[int]:
    """Publish a seed directory, each folder that changed as one release, all or none; give the releases' numbers.

    Raises SeedInvalid, PublishBusy.
    """
    folders = read_seeds(directory)
    fault.point("seeds.read")
    with database.publishing() as connection:
        refuse(clashes(folders))
        known = known_keys(connection, [folder.dataset for folder in folders])
        for folder in folders:
            for model, record, name, message in unknown_names(folder.dataset, known):
                folder.faults.append(folder.place(model, record).at(name, f"{model.__tablename__}.{name}: {message}"))
        refuse([fault for folder in folders for fault in folder.faults])
        published = [publish_folder(connection, folder, now) for folder in folders]
        fault.point("seeds.commit")
    fault.point("seeds.committed")
    return [number for number in published if number is not None]


def publish_folder(connection: Any, folder: Folder, now: datetime | None) -> int | None:
    """Publish one folder; a row that the database refuses is told with its place. Raises SeedInvalid."""
    fault.point("seeds.folder")
    try:
        return publish(connection, folder.dataset, now)
    except RowRefused as refused:
        place = folder.place(refused.model, refused.record)
        raise SeedInvalid(place.at("", f"{refused.model.__tablename__}: {refused}")) from refused


def clashes(folders: list[Folder]) -> list[str]:
    """Give the records and sources that two folders both declare: each has one owner."""
    owners: dict[tuple[type[Any], tuple[Any, ...]], str] = {}
    faults = []
    for folder in folders:
        for (model, key), place in folder.places.items():
            owner = owners.setdefault((model, key), folder.dataset.name)
            if owner != folder.dataset.name and model is not Evidence:
                name = ".".join(map(str, key))
                faults.append(place.at(model.key[0], f"{model.__tablename__}: {name} is declared in {owner} already"))
    return faults


def read_seeds(directory: Path) -> list[Folder]:
    """Read every folder of a seed directory, `reference` first. Raises SeedInvalid with each fault's file and line."""
    if not directory.is_dir():
        raise SeedInvalid(f"{directory.name}: there is no such folder")
    paths = sorted(directory.iterdir(), key=lambda path: (path.name != "reference", path.name))
    folders = [read_folder(path) for path in paths if path.is_dir() and seed_files(path)]
    if not folders:
        raise SeedInvalid(f"{directory.name}: no folder in it holds a .yaml file")
    refuse([fault for folder in folders for fault in folder.faults])
    return folders


def seed_files(folder: Path) -> list[Path]:
    """Give the seed files of a folder in order."""
    return sorted(path for path in folder.iterdir() if path.suffix in LOADERS)


def refuse(faults: list[str]) -> None:
    """Raise SeedInvalid with every fault there is."""
    if faults:
        raise SeedInvalid("\n".join(faults))


def read_folder(folder: Path) -> Folder:
    """Read the files of one folder; faults are gathered, not raised."""
    files = seed_files(folder)
    found = Folder(Dataset(folder.name, ReleaseKind.SEED, (), digest(path.read_bytes() for path in files)))
    names = [f"{folder.name}/{path.name}" for path in files]
    loaded = [(shown, LOADERS[path.suffix](path, shown)) for shown, path in zip(names, files, strict=True)]
    sources = [one.get("slug") for _, tables in loaded for one in tables.get("sources") or () if isinstance(one, Lined)]
    found.dataset.sources = tuple(str(slug) for slug in sources)
    if not sources:
        found.faults.append(f"{folder.name}: no source is declared, and without a source there is no row")
        return found
    for shown, tables in loaded:
        for name, records in tables.items():
            if name != "source":
                read_table(found, name, records, shown, tables)
    settle_proofs(found)
    return found


def read_table(found: Folder, name: str, records: Any, shown: str, tables: Lined) -> None:
    """Read the records of one table in one file."""
    model = TABLES.get(name)
    at = f"{shown}:{tables.line_of(name)}"
    if model is None:
        found.faults.append(f"{at} {name!r} is no table; like it is {nearest(name, TABLES)!r}")
        return
    if not isinstance(records, list):
        found.faults.append(f"{at} {name!r} holds no list of records")
        return
    source = str(tables.get("source", found.dataset.sources[0]))
    for record in records:
        if isinstance(record, Lined):
            read_record(found, model, record, shown, source)
        else:
            found.faults.append(f"{at} {name} holds something that is no record: {record!r}")


def read_record(found: Folder, model: type[Any], record: Lined, shown: str, source: str) -> None:
    """Check one record and add it, its derived columns and what proves it."""
    place = Place(shown, record)
    given = {"source": record.get("slug") if model is Source else source, **record}
    proofs = given.pop("evidence", None) or {}
    try:
        values = complete(model, RECORDS[model.__tablename__].model_validate(given).model_dump())
    except ValidationError as error:
        found.faults += [place.at(str(e["loc"][0]) if e["loc"] else "", explain(model, e)) for e in error.errors()]
        return
    except Unfit as error:
        found.faults.append(place.at(error.field, f"{model.__tablename__}: {error}"))
        return
    if values["source"] not in found.dataset.sources:
        message = f"{model.__tablename__}.source: {values['source']!r} is no source of this folder"
        found.faults.append(place.at("source", message))
    add(found, model, values, place)
    read_proofs(found, model, values, proofs, place)


def add(found: Folder, model: type[Any], record: dict[str, Any], place: Place) -> None:
    """Add a record to the dataset, once."""
    key = key_of(model, record)
    if (model, key) in found.places:
        message = f"{model.__tablename__}: {record_key(model, record)} is given twice"
        found.faults.append(place.at(model.key[0], message))
    found.places[model, key] = place
    found.dataset.records.setdefault(model, []).append(record)


def explain(model: type[Any], error: Any) -> str:
    """Say what is wrong with a field of a seed record."""
    name = ".".join(map(str, error["loc"]))
    value = repr(error["input"]) if not isinstance(error["input"], Mapping) else "missing"
    like = nearest(name, RECORDS[model.__tablename__].model_fields) if error["type"] == "extra_forbidden" else None
    hint = f"; did you mean {like!r}?" if like else ""
    return f"{model.__tablename__}.{name}: {error['msg']}, not {value[:80]}{hint}"


def read_proofs(found: Folder, model: type[Any], record: dict[str, Any], proofs: Any, place: Place) -> None:
    """Read what proves a record's fields: ids of figures, or words."""
    columns = model.__table__.columns.keys()
    if not isinstance(proofs, Mapping):
        found.faults.append(place.at("evidence", "evidence is no mapping of fields to figures or words"))
        return
    for name, items in proofs.items():
        if name not in columns:
            like = nearest(name, columns)
            message = f"evidence: {model.__tablename__} has no field {name!r}; like it is {like!r}"
            found.faults.append(place.at("evidence", message))
            continue
        for item in items if isinstance(items, list) else [items]:
            try:
                said = item if isinstance(item, str) else Words.model_validate(item)
            except ValidationError as error:
                found.faults += [place.at("evidence", f"evidence of {name}: {e['msg']}") for e in error.errors()]
                continue
            found.proofs.append(Proof(model, record, name, said, place))


def settle_proofs(found: Folder) -> None:
    """Turn what proves the records into evidence, each figure bringing its words."""
    figures = {figure["id"]: figure for figure in found.dataset.records.get(Figure, ())}
    for proof in found.proofs:
        figure = figures.get(proof.said) if isinstance(proof.said, str) else None
        if figure is None and isinstance(proof.said, str):
            message = f"evidence: there is no figure {proof.said!r}; like it is {nearest(proof.said, figures)!r}"
            found.faults.append(proof.place.at("evidence", message))
            continue
        if figure and proof.field == "share_percent":
            proof.record.update({name: figure[end] for name, end in OF_FIGURE.items()})
        words = figure or proof.said.model_dump()  # type: ignore[union-attr]  # words, where it is no figure
        row = {
            "record": proof.model.__tablename__,
            "record_key": record_key(proof.model, proof.record),
            "field": proof.field,
            "figure": proof.said if isinstance(proof.said, str) else None,
            "source": proof.record["source"],
            **{name: words[name] for name in FRAGMENT},
        }
        add(found, Evidence, row, proof.place)


def record_key(model: type[Any], record: Mapping[str, Any]) -> str:
    """Give the text key of a record, as addresses and evidence have it; a flow that is a whole has no breakdown."""
    key = key_of(model, record)
    if model is TradeFlow and record["breakdown"] == NOT_STATED:
        key = key[:-1]
    return ".".join(str(part).replace("/", "_") for part in key)
