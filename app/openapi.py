"""The OpenAPI description: what FastAPI makes of the routes, corrected where it says less than we hold to."""

from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import __version__
from app.envelope import Problem
from app.flows import FLOWS
from app.formats import ARRAY, JSON_MEDIA, formats_of
from app.formats.json_stat import JSON_STAT
from app.params import ListParams

DESCRIPTION = """\
- **Every number has a source**: `evidence` gives the words and where they stand, `/v1/figures/{id}` the receipt.
- **Nothing is added that cannot be added**: `/v1/trade/totals` keeps sources, speakers and overlapping periods apart.
- **A wrong request is an error**: unknown parameters and names are 422 with what was probably meant.
- Countries answer to ISO 2, ISO 3, M49, names and aliases; groups such as `central-asia` stand for their members.
- Lists: `fields`, `sort`, `limit`, `cursor`. `format` is `json`, or `csv`, `ndjson`, `parquet` or `xlsx`, and of trade
  flows `json-stat` or `sdmx-csv` too: without a limit these give every row.
- An answer never changes within a release; `release=N` pins it for ever.
"""
CUBE_OF = "list_trade_flows"
"""The operation whose rows can be had as a cube."""
CUBE = {
    "type": "object",
    "description": "Trade flows as a dataset of JSON-stat 2.0: a cube of the dimensions of their key.",
    "required": ["version", "class", "id", "size", "dimension", "value"],
    "properties": {
        "version": {"type": "string", "const": "2.0"},
        "class": {"type": "string", "const": "dataset"},
        "label": {"type": "string"},
        "href": {"type": "string"},
        "id": {"type": "array", "items": {"type": "string"}, "description": "dimensions"},
        "size": {"type": "array", "items": {"type": "integer"}, "description": "number of codes of each"},
        "role": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        "dimension": {"type": "object", "additionalProperties": {"type": "object"}},
        "value": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "by place in the cube"},
        "status": {"type": "object", "additionalProperties": {"type": "string"}, "description": "SDMX OBS_STATUS"},
        "extension": {"type": "object"},
    },
}
SHARED = frozenset(ListParams.model_fields)
"""Parameters that every list takes; they stand after its own."""
SAID = {
    "country": "any name or code of a country or group",
    "flow": "also by UN Comtrade code: X, M, RX ...",
    "frequency": "A year, Q quarter, M month, YTD January to a later month",
    "id": "as the list gives it",
    "kind": "what kind it is",
    "member": "country that belongs to it, by any name or code",
    "method": "stated by the source, inferred by us, or reconciled from both sides",
    "name": "name of the error, with which its `type` ends",
    "part_of": "programme that it is part of, by slug or name",
    "partner": "the other side: any name or code of a country or group",
    "product": "code of the classification, leading zeros kept, or TOTAL",
    "qualifier": "how exactly the number is stated",
    "raised_by": "expert, by slug or name",
    "reporter": "whose record it is: any name or code of a country or group",
    "role": "what a person speaks as",
    "share_max": "largest share, in percent",
    "share_min": "smallest share, in percent",
    "slug": "as the list gives it",
    "source": "slug or title",
    "speaker_basis": "whether the source names the speaker or we conclude who it is",
    "status": "as the source states it; not_stated where it does not",
    "unit": "unit of the value",
    "verdict": "what the arithmetic says",
    "year_from": "first calendar year",
    "year_to": "last calendar year",
}
"""What parameters mean that are the same wherever they stand; one that says more of itself keeps its words."""
TAGS = {
    "Trade": "Flows as stated, sums that are safe, comparisons of both sides, shares, coverage",
    "Projects": "Named projects, portfolios stated of many, programmes",
    "Quotes": "What was said, topics, risks and mitigations",
    "People": "Experts and organizations",
    "Events and indicators": "What happened, and measures over time",
    "Figures and sources": "The receipt of each number, each source in its order, the arithmetic of figures",
    "Products": "The Harmonized System 2022: chapters, headings, subheadings",
    "Countries": "Economies, aggregates and other areas, with every code they go by",
    "Exports": "Whole tables as files, and what describes them for catalogues and tools",
    "Charts": "Pictures of trade and projects, and their Vega-Lite specifications",
    "Search": "Everything that has words",
    "Releases": "Publications of data",
    "Index": "What there is, and what errors mean",
    "Health": "Liveness and readiness",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Give the description, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title="Khorgos",
            version=__version__,
            summary="Trade and projects of China and Central Asia, traced to the words of their sources",
            description=DESCRIPTION,
            routes=app.routes,
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            servers=[{"url": app.state.service.settings.root_path or "/"}],
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        schema["security"] = []  # who asks is not asked
        add_problem(schema)
        for operation in operations(schema):
            correct(operation)
        place_choices(schema)
        add_shapes(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every operation."""
    for methods in schema["paths"].values():
        yield from methods.values()


def add_problem(schema: dict[str, Any]) -> None:
    """Add the shape of errors, in place of FastAPI's own."""
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def correct(operation: dict[str, Any]) -> None:
    """Say in a line what is asked, that lists are given as `a,b`, that leaving a parameter out is the only null."""
    operation["summary"] = operation["description"].partition("\n")[0].removesuffix(".")
    operation.get("parameters", []).sort(key=lambda one: one["name"] in SHARED)
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in SAID:
            parameter.setdefault("description", SAID[parameter["name"]])
        schema = without_null(parameter["schema"])
        schema.pop("title", None)
        if schema.get("default") in ([], None):
            schema.pop("default", None)
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
            for length, items in (("minLength", "minItems"), ("maxLength", "maxItems")):
                if length in schema:
                    schema[items] = schema.pop(length)
        if parameter["name"] == "format":
            schema["enum"] = formats_of(FLOWS.record if operation["operationId"] == CUBE_OF else None)
        if examples := schema.pop("examples", None):
            parameter["example"] = examples[0]
        parameter["schema"] = schema
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if status.startswith(("4", "5")):
            content.pop("application/json", None)
        if status == "304":
            response.pop("content", None)


def place_choices(schema: dict[str, Any]) -> None:
    """Put each choice that parameters have a model for in its place, as the others stand: names of models may meet."""
    schemas = schema["components"]["schemas"]
    placed = set()
    for operation in operations(schema):
        for parameter in operation.get("parameters", ()):
            holder = parameter["schema"].get("items", parameter["schema"])
            if reference := holder.pop("$ref", None):
                name = reference.rpartition("/")[2]
                placed.add(name)
                holder |= {key: schemas[name][key] for key in ("type", "enum")}
    text = orjson.dumps(schema)
    for name in placed:
        if orjson.dumps(f"#/components/schemas/{name}") not in text:
            del schemas[name]


def add_shapes(schema: dict[str, Any]) -> None:
    """Say which lists are also given as a bare array, and which as a cube: JSON too, but no page."""
    schemas = schema["components"]["schemas"]
    schemas["Cube"] = CUBE
    for operation in operations(schema):
        choices = {one["name"]: one["schema"].get("enum", ()) for one in operation.get("parameters", ())}
        answer = operation["responses"].get("200", {}).get("content", {}).get(JSON_MEDIA, {})
        shapes = [answer.get("schema")]
        if ARRAY in choices.get("shape", ()):
            page = schemas[answer["schema"]["$ref"].rpartition("/")[2]]
            shapes.append({"type": "array", "items": page["properties"]["data"]["items"]})
        if JSON_STAT.name in choices.get("format", ()):
            shapes.append({"$ref": "#/components/schemas/Cube"})
        if len(shapes) > 1:
            answer["schema"] = {"anyOf": shapes}


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Take null out of a choice of types."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return dict(schema)
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
