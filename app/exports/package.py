"""The exports as a Frictionless Data Package: what each CSV file holds, column by column, and all of it as one zip."""

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from types import NoneType
from typing import IO, Any, get_args

import orjson
from pydantic.fields import FieldInfo

from app.exports.facts import Facts
from app.exports.files import Files
from app.exports.tables import FORMATS, Table
from app.formats.base import Cited, Column, Kind
from app.ingest.references import NAMED

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
TYPES: Mapping[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.TRUTH: {"type": "boolean", "trueValues": ["true"], "falseValues": ["false"]},
    Kind.DAY: {"type": "date"},
    Kind.MOMENT: {"type": "datetime"},
    Kind.LIST: {"type": "list", "delimiter": ";"},
    Kind.OBJECT: {"type": "any"},
}
"""Types of Table Schema, as CSV has them."""
DIALECT = {"header": True, "delimiter": ",", "lineTerminator": "\r\n", "quoteChar": '"', "doubleQuote": True}
SPDX = re.compile(r"[A-Za-z0-9.+]+(?:-[A-Za-z0-9.+]+)+")
"""What a licence is written as where it is an identifier of SPDX, and not a sentence."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The one time that files of an archive have: the same bytes whenever it is made."""
LEVEL = 6
LARGE = 2**31 - 1
PIECE = 2**20

Told = Callable[[Table], dict[str, Any]]
"""Tells where the file of a table is, and what is known of its bytes."""


def descriptor(tables: Iterable[Table], facts: Facts, told: Told) -> dict[str, Any]:
    """Describe the CSV files of a release."""
    tables = tuple(tables)
    keys = {table.resource.record: table for table in tables}
    return {
        "$schema": PROFILE,
        "name": "khorgos",
        "title": "Khorgos: trade and projects of China and Central Asia",
        "description": "Every figure traced to the words of its source. Rows of different sources, and totals and "
        "their parts, stand side by side: they are not to be added.",
        "version": str(facts.release),
        "created": facts.published,
        "sources": [source(one) for one in facts.sources.values()],
        "resources": [described(table, keys, facts) | told(table) for table in tables],
    }


def described(table: Table, keys: Mapping[str, Table], facts: Facts) -> dict[str, Any]:
    """Describe the CSV file of a table."""
    known, form = facts.tables[table.name], FORMATS["csv"]
    sources = [facts.sources[slug] for slug in known.sources]
    whole = {
        "name": table.name,
        "type": "table",
        "title": table.title,
        "description": table.description,
        "format": form.suffix,
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": DIALECT,
        "schema": schema_of(table, known.columns, keys),
        "sources": [source(one) for one in sources],
        "licenses": [{"name": name, "path": licence_link(name)} for name in licences_of(sources)],
    }
    return {name: value for name, value in whole.items() if value}  # no empty list: none is known, or none there


def licences_of(sources: Sequence[Cited]) -> list[str]:
    """Give the licences of a table's sources, as SPDX names them; none where one of them states none, or in words."""
    stated = {one.licence or "" for one in sources}
    return sorted(stated) if all(map(SPDX.fullmatch, stated)) else []


def licence_link(name: str) -> str:
    """Give the page of a licence of SPDX."""
    return f"https://spdx.org/licenses/{name}"


def schema_of(table: Table, columns: Iterable[Column], keys: Mapping[str, Table]) -> dict[str, Any]:
    """Describe the columns of a table, its key, and the columns that name rows of other tables."""
    columns = tuple(columns)
    found = {
        "fields": [field_of(column, table.resource.row.model_fields[column.name], table) for column in columns],
        "primaryKey": list(table.key),
        "missingValues": [""],
    }
    references = [one for column in columns if (one := reference(column, table, keys))]
    return {**found, "foreignKeys": references} if references else found


def field_of(column: Column, info: FieldInfo, table: Table) -> dict[str, Any]:
    """Describe a column."""
    choices = get_args(info.annotation) or (info.annotation,)
    members = next((one for one in choices if isinstance(one, type) and issubclass(one, Enum)), None)
    constraints: dict[str, Any] = {}
    if NoneType not in choices and column.kind is not Kind.LIST:
        constraints["required"] = True
    if table.key == (column.name,):
        constraints["unique"] = True
    if members is not None and column.kind is Kind.TEXT:
        constraints["enum"] = [str(one.value) for one in members]
    found = {"name": column.name, **TYPES[column.kind], "description": column.description}
    return {name: value for name, value in {**found, "constraints": constraints}.items() if value}


def reference(column: Column, table: Table, keys: Mapping[str, Table]) -> dict[str, Any] | None:
    """Say which table a column names rows of, where publishing holds it to them and it names one; else null."""
    targets = NAMED.get(column.name, ())
    if len(targets) != 1 or column.kind is Kind.LIST or not table.is_versioned:
        return None
    other = keys.get(targets[0])
    if other is None or len(other.key) != 1:
        return None
    name = "" if other is table else other.name
    return {"fields": [column.name], "reference": {"resource": name, "fields": list(other.key)}}


def source(one: Cited) -> dict[str, Any]:
    """Describe a source."""
    found = {"title": one.title, "path": one.url, "publisher": one.publisher, "licence": one.licence}
    return {name: value for name, value in found.items() if value is not None}


def open_zip(files: Files, facts: Facts) -> IO[bytes]:
    """Open the CSV files of a release with their description as one archive. Raises what `Files.opened` does."""
    stem, suffix, form = "datapackage", "zip", FORMATS["csv"]
    if files.found(stem, suffix, facts.release) is None:
        for table in files.tables.values():  # before the archive takes a place, for each needs one
            files.made(table, form, facts.release)
    return files.opened(stem, suffix, facts.release, lambda out: write_zip(files, facts, out))


def write_zip(files: Files, facts: Facts, out: IO[bytes]) -> None:
    """Write the archive: the same bytes whenever it is made. Raises QueryTimeout."""
    form, in_time = FORMATS["csv"], files.clock()
    made = {name: files.made(table, form, facts.release) for name, table in files.tables.items()}

    def told(table: Table) -> dict[str, Any]:
        built = made[table.name]
        return {"path": f"data/{table.name}.csv", "bytes": built.size, "hash": f"sha256:{built.sha256}"}

    about = descriptor(files.tables.values(), facts, told)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        with archive.open(entry("datapackage.json"), "w") as place:
            place.write(orjson.dumps(about, option=orjson.OPT_INDENT_2))
        for table in files.tables.values():
            info, is_large = entry(f"data/{table.name}.csv"), made[table.name].size > LARGE
            with (
                files.table(table, form, facts.release) as rows,
                archive.open(info, "w", force_zip64=is_large) as place,
            ):
                while piece := rows.read(PIECE):
                    place.write(piece)
                    in_time()


def entry(name: str) -> zipfile.ZipInfo:
    """Give a file of an archive that tells nothing of where and when it was made."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info
