"""Seed files: one folder a source, YAML that a person reads and edits, checked against the models line by line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, create_model
from sqlalchemy import Column, Table

from app.codes import NOT_STATED, TOTAL, Code, Method, ObsStatus, Qualifier, ReleaseKind, Unit, Valuation
from app.db import Database
from app.errors import SeedInvalid, nearest
from app.ingest.figures import interval, stated_value
from app.ingest.publish import MODELS, Dataset, digest, key_of, publish
from app.ingest.references import known_keys, unknown_names
from app.ingest.yaml_lines import Lined, load
from app.models import Codes, Evidence, Figure, SearchEntry, Source, TradeFlow, TradeShare
from app.periods import parse_period

TABLES: Mapping[str, type[Any]] = {
    model.__tablename__: model for model in MODELS if model not in (Evidence, SearchEntry)
}
DERIVED: Mapping[str, frozenset[str]] = {
    "figures": frozenset({"lower", "upper"}),
    **{
        table: frozenset({"frequency", "period_start", "period_end", "year", "method"})
        for table in ("trade_flows", "trade_shares", "observations")
    },
    "projects": frozenset({"method"}),
}
"""Columns that the loader works out, so that a seed file cannot contradict itself."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "trade_flows": {
        "product": TOTAL,
        "classification": NOT_STATED,
        "period": None,
        "stated_by": NOT_STATED,
        "valuation": Valuation.UNSPECIFIED,
        "obs_status": ObsStatus.NORMAL,
    },
    "observations": {"obs_status": ObsStatus.NORMAL},
}
FRAGMENT = ("exact", "start", "end")
UNKNOWN_MONTHS = re.compile(r"--(0[1-9]|1[0-2])/--(0[1-9]|1[0-2])")


class Words(BaseModel):
    """Words behind a field that hold no number."""

    model_config = ConfigDict(extra="forbid")

    exact: str = Field(min_length=1, max_length=200)
    start: int = Field(ge=0)
    end: int = Field(ge=1)


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
    record: Mapping[str, Any]
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


def read_seeds(directory: Path) -> list[Folder]:
    """Read every folder of a seed directory, `reference` first. Raises SeedInvalid with each fault's file and line."""
    if not directory.is_dir():
        raise SeedInvalid(f"{directory.name}: there is no such folder")
    paths = sorted(directory.iterdir(), key=lambda path: (path.name != "reference", path.name))
    folders = [read_folder(path) for path in paths if path.is_dir() and any(path.glob("*.yaml"))]
    if not folders:
        raise SeedInvalid(f"{directory.name}: no folder in it holds a .yaml file")
    refuse([fault for folder in folders for fault in folder.faults])
    return folders


def seed(database: Database, directory: Path, now: datetime | None = None) -> list[int]:
    """Publish a seed directory, each folder that changed as one release, all or none; give the releases' numbers.

    Raises SeedInvalid, PublishBusy.
    """
    folders = read_seeds(directory)
    with database.publishing() as connection:
        known = known_keys(connection, [folder.dataset for folder in folders])
        faults = []
        for folder in folders:
            for model, record, name, message in unknown_names(folder.dataset, known):
                place = folder.places[model, key_of(model, record)]
                faults.append(place.at(name, f"{model.__tablename__}.{name}: {message}"))
        refuse(faults)
        published = [publish(connection, folder.dataset, now) for folder in folders]
    return [number for number in published if number is not None]


def refuse(faults: list[str]) -> None:
    """Raise SeedInvalid with every fault there is."""
    if faults:
        raise SeedInvalid("\n".join(faults))


def read_folder(folder: Path) -> Folder:
    """Read the files of one folder; faults are gathered, not raised."""
    files = sorted(folder.glob("*.yaml"))
    dataset = Dataset(folder.name, ReleaseKind.SEED, (), digest(path.read_bytes() for path in files))
    found = Folder(dataset)
    loaded = [(f"{folder.name}/{path.name}", load(path, f"{folder.name}/{path.name}")) for path in files]
    sources = [one.get("slug") for _, tables in loaded for one in tables.get("sources") or () if isinstance(one, Lined)]
    dataset.sources = tuple(str(slug) for slug in sources)
    if not sources:
        found.faults.append(f"{folder.name}: no source is declared, and without a source there is no row")
        return found
    for shown, tables in loaded:
        for name, records in tables.items():
            if name == "source":
                continue
            model = TABLES.get(name)
            if model is None or not isinstance(records, list):
                message = f"{name!r} is no table of records; like it is {nearest(name, TABLES)!r}"
                found.faults.append(f"{shown}:{tables.line_of(name)} {message}")
                continue
            for record in records:
                read_record(found, model, record, shown, str(tables.get("source", sources[0])))
    settle_proofs(found)
    return found


def read_record(found: Folder, model: type[Any], record: Any, shown: str, source: str) -> None:
    """Check one record and add it, its derived columns and its evidence."""
    if not isinstance(record, Lined):
        found.faults.append(f"{shown}: {model.__tablename__} holds something that is no record: {record!r}")
        return
    place = Place(shown, record)
    given = {"source": record.get("slug") if model is Source else source, **record}
    proofs = given.pop("evidence", None) or {}
    try:
        values = RECORDS[model.__tablename__].model_validate(given).model_dump()
        completed = complete(model, values)
    except ValidationError as error:
        found.faults += [place.at(str(e["loc"][0]) if e["loc"] else "", explain(model, e)) for e in error.errors()]
        return
    except ValueError as error:
        found.faults.append(place.at("period" if "period" in record else "", f"{model.__tablename__}: {error}"))
        return
    add(found, model, completed, place)
    read_proofs(found, model, completed, proofs, place)


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
    value = error["input"] if not isinstance(error["input"], Mapping) else "missing"
    like = nearest(name, RECORDS[model.__tablename__].model_fields) if error["type"] == "extra_forbidden" else None
    return f"{model.__tablename__}.{name}: {error['msg']}, not {value!r}" + (
        f"; did you mean {like!r}?" if like else ""
    )


def make_record(table: Table) -> type[BaseModel]:
    """Make the Pydantic model of a table's seed records from its columns."""
    left_out = {"release", "superseded_by"} | DERIVED.get(table.name, frozenset())
    fields: dict[str, Any] = {
        name: field_of(table.name, column) for name, column in table.columns.items() if name not in left_out
    }
    return create_model(f"{table.name}_seed", __config__=ConfigDict(extra="forbid", strict=False), **fields)


def field_of(table: str, column: Column[Any]) -> tuple[Any, Any]:
    """Give type and default of one seed field."""
    default = DEFAULTS.get(table, {}).get(column.name, ...)
    members: type[Code] | None = column.info.get("codes")
    kind: Any = column.type.python_type if not isinstance(column.type, Codes) else tuple[str, ...]
    if members is not None:
        kind = Literal[tuple(str(member) for member in members)]
    if kind is int:
        kind = StrictInt
    if isinstance(column.type, Codes):
        return kind, ()
    if column.nullable or default is None:
        return kind | None, None if default is ... else default
    return kind, default


RECORDS: Mapping[str, type[BaseModel]] = {name: make_record(model.__table__) for name, model in TABLES.items()}
"""What a seed record of each table may hold."""


def complete(model: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Work out the derived columns. Raises ValueError."""
    if "inferred" in values:
        values["method"] = str(Method.INFERRED if values["inferred"] else Method.STATED)
        if values["inferred"] and not values.get("note"):
            raise ValueError("what is inferred needs a note that says how")
    if "period" in values:
        values |= dated(model, values["period"])
    if model is Figure:
        values |= bounded(values)
    return {name: str(value) if isinstance(value, Code) else value for name, value in values.items()}


def dated(model: type[Any], text: str | None) -> dict[str, Any]:
    """Give the columns of a period; of none, or of months without a year, as much as is known."""
    unknown = {"period_start": None, "period_end": None, "year": None, "frequency": None}
    if text is None:
        sentinel = NOT_STATED if model is TradeFlow else None
        return {**unknown, "period": sentinel, "frequency": sentinel}
    if model is TradeShare and UNKNOWN_MONTHS.fullmatch(text):
        return {**unknown, "period": text}
    period = parse_period(text)
    return {
        "period": period.code,
        "frequency": str(period.frequency),
        "period_start": period.start,
        "period_end": period.end,
        "year": period.year,
    }


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the interval of a figure, its words and number being held against each other. Raises ValueError."""
    words, value, exact = values["as_stated"], Decimal(str(values["value"])), values["exact"]
    if exact.count(words) != 1:
        raise ValueError(f"figure {values['id']}: {words!r} stands {exact.count(words)} times in exact, not once")
    printed = stated_value(words)
    if printed is not None and printed != value and values["unit"] not in (Unit.MONTHS, Unit.QUARTER, Unit.RANK):
        raise ValueError(f"figure {values['id']}: {words!r} prints {printed:f}, but value is {value:f}")
    lower, upper = interval(words, value, Unit(values["unit"]), Qualifier(values["qualifier"]))
    return {
        "lower": None if lower is None else float(lower),
        "upper": None if upper is None else float(upper),
        "value": float(value),
    }


def read_proofs(found: Folder, model: type[Any], record: Mapping[str, Any], proofs: Any, place: Place) -> None:
    """Read what proves a record's fields: ids of figures, or words."""
    columns = model.__table__.columns.keys()
    if not isinstance(proofs, Mapping):
        found.faults.append(place.at("evidence", "evidence is no mapping of fields to figures or words"))
        return
    for name, items in proofs.items():
        if name not in columns:
            message = (
                f"evidence: {model.__tablename__} has no field {name!r}; like it is {nearest(str(name), columns)!r}"
            )
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
    """Give the text key of a record, as addresses and evidence have it."""
    return ".".join(str(part).replace("/", "_") for part in key_of(model, record))
