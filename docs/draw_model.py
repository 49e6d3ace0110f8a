"""Draws docs/data-model.md from app.models: the diagram and a table of columns for each model.

Run it after a change of the models: `python docs/draw_model.py`. A test holds the file to what this draws.
"""

import ast
import inspect
import io
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, DateTime, Float, Integer, Table

from app import models
from app.ingest.references import NAMED
from app.models import Base, Codes, Published, Release, Source

DOCUMENT = Path(__file__).parent / "data-model.md"
VERSION = ("source", "release", "superseded_by")
"""Columns that `Published` gives to a table; told once."""
COMMON = {
    "name": "what it is called",
    "title": "what it is called; of a person, the office as the source gives it",
    "summary": "our words",
    "description": "what it is; of a measure, what the source leaves open too",
    "section_name": "name of the section",
    "note": "what a reader should know, and how anything inferred was concluded",
    "country": "where it belongs",
    "countries": "who takes part",
    "jobs": "as stated",
    "project_count": "as stated",
    "agreements_count": "as stated",
    "place": "as stated",
    "unit": "unit of its values",
    "reporter": "whose record it is",
    "partner": "the other side",
    "stated_by": "null = the source's own voice",
    "raised_by": "null = the source's own voice",
    "aliases": "other names that find it",
    "method": "`inferred` where a field is our conclusion",
    "inferred": "fields that are our conclusion",
    "obs_status": "SDMX CL_OBS_STATUS",
    "valuation": "Incoterms",
    "frequency": "SDMX CL_FREQ, and YTD for January to a later month",
    "period_start": "first day",
    "period_end": "last day",
    "year": "calendar year, where the source names one",
    "share_percent": "0 to 100",
    "share_upper": "greatest share that digits and qualifier allow",
    "net_weight_kg": "kilograms",
    "field": "column that the words prove",
    "section": "heading it stands under; null = before the first",
    "url": "where it can be read",
    "published_on": "null where the text does not say",
    "licence": "terms of the source; null = none named",
    "publisher": "who made it public",
    "official_name": "long name (UNTERM)",
    "body": "its text, for display",
    "text": "the words",
}
"""What a column's word means wherever models.py has no comment on it."""
SHORT = {BigInteger: "bigint", Boolean: "truth", Integer: "integer", Float: "number", Date: "date", DateTime: "moment"}
BY_TABLE: Mapping[str, Any] = {mapper.class_.__tablename__: mapper.class_ for mapper in Base.registry.mappers}
MODELS: tuple[Any, ...] = tuple(BY_TABLE[name] for name in Base.metadata.tables)
"""Every model, in the order of models.py."""


def draw(document: str) -> str:
    """Give the document with its drawn blocks made anew."""
    for name, lines in (("diagram", diagram()), ("tables", tables())):
        begin, end = f"<!-- {name}: drawn -->\n", f"<!-- {name}: end -->\n"
        head, _, rest = document.partition(begin)
        document = "".join((head, begin, *(f"{line}\n" for line in lines), end, rest.partition(end)[2]))
    return document


def diagram() -> Iterator[str]:
    """Give every table, and its columns that hold keys of others, as a Mermaid entity-relationship diagram."""
    yield "```mermaid"
    yield "erDiagram"
    for model in MODELS:
        table = model.__table__
        for column in table.columns:
            if column.name != "source":
                yield from (relation(table, column, target) for target in NAMED.get(column.name, ()))
    for model in MODELS:
        yield f"  {model.__tablename__} {{"
        for column in own_columns(model):
            key = " PK" if column.primary_key else ""
            yield f"    {short_type(column).replace(' ', '_')} {column.name}{key}"
        yield "  }"
    yield "```"


def own_columns(model: Any) -> list[Any]:
    """Give the columns of a model, those that `Published` gives left out."""
    shared = VERSION if issubclass(model, Published) else ()
    return [column for column in model.__table__.columns if column.name not in shared]


def relation(table: Table, column: Column[Any], target: str) -> str:
    """Give one line between two tables: dotted, for no foreign key holds it."""
    surely_one = not column.nullable and len(NAMED[column.name]) == 1
    many = isinstance(column.type, Codes)
    return f'  {target} {"}o" if many else "||" if surely_one else "|o"}..o{{ {table.name} : "{column.name}"'


def short_type(column: Column[Any]) -> str:
    """Give a column's type in a word or two."""
    if isinstance(column.type, Codes):
        return "set of text"
    kind = getattr(column.type, "impl_instance", column.type)
    return next((name for base, name in SHORT.items() if isinstance(kind, base)), "text")


def tables() -> Iterator[str]:
    """Give a heading, the model's own sentence and a table of columns for each model."""
    yield from table_of(Published, [Source.__table__.c[name] for name in VERSION])
    for model in MODELS:
        yield from table_of(model, own_columns(model))
        if rules := sorted(rules_of(model.__table__)):
            yield f"Held by the database: {'; '.join(f'`{rule}`' for rule in rules)}."
            yield ""


def table_of(model: Any, columns: Iterable[Column[Any]]) -> Iterator[str]:
    """Give one model's table of columns."""
    name = getattr(model, "__tablename__", None)
    yield f"### {model.__name__}" + (f" (`{name}`)" if name else "")
    yield ""
    yield " ".join(inspect.cleandoc(model.__doc__).split())
    yield ""
    yield "| column | type | null | meaning |"
    yield "|---|---|---|---|"
    said = comments(model)
    for column in columns:
        null = "yes" if column.nullable else "no"
        yield f"| `{column.name}` | {short_type(column)} | {null} | {meaning(model, column, said.get(column.name))} |"
    yield ""


def meaning(model: Any, column: Column[Any], said: str | None) -> str:
    """Give what a column holds: whether it is of the key, what models.py says of it, what it names or may hold."""
    is_key = column.name in getattr(model, "key", ()) or (model is Release and column.primary_key)
    named = NAMED.get(column.name, ()) if column.table.name != "releases" else ()
    parts = (
        "**key**" if is_key else "",
        said or COMMON.get(column.name, ""),
        f"names {' or '.join(named)}" if named else "",
        choice(column),
    )
    return "; ".join(filter(None, parts)).replace("|", "or")


def choice(column: Column[Any]) -> str:
    """Give the closed list that holds a column."""
    allowed = ", ".join(f"`{value}`" for value in column.info.get("allowed", ()))
    return f"one of {allowed}" if allowed else ""


def rules_of(table: Table) -> Iterator[str]:
    """Give what a table refuses, closed lists and the empty text apart."""
    coded = {column.name for column in table.columns if "codes" in column.info}
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint):
            name = str(constraint.name).removeprefix(f"ck_{table.name}_")
            if name not in coded and not name.endswith(("_not_blank", "superseded_later")):
                yield str(constraint.sqltext)


def comments(model: Any) -> Mapping[str, str]:
    """Give what models.py says of each column: the comment that ends its declaration."""
    source = inspect.getsource(models)
    notes = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    said = [notes[at] for at in range(line.lineno, (line.end_lineno or line.lineno) + 1) if at in notes]
                    found[line.target.id] = " ".join(said)
    return found


if __name__ == "__main__":
    DOCUMENT.write_text(draw(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
