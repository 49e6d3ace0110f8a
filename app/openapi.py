"""The OpenAPI description: what FastAPI makes of the routes, corrected where it says less than we hold to."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app import __version__
from app.errors import Problem
from app.formats import JSON, TABLE_FORMATS
from app.params import ListParams

DESCRIPTION = """Trade and joint projects of China and Central Asia, every figure traced to the words of its source.

- **Every number has a source**: `evidence` gives the words and where they stand, `/v1/figures/{id}` the receipt.
- **Nothing is added that cannot be added**: `/v1/trade/totals` keeps sources, speakers and overlapping periods apart.
- **A wrong request is an error**: unknown parameters and names are 422 with what was probably meant.
- Countries answer to ISO 2, ISO 3, M49, names and aliases; groups such as `central-asia` stand for their members.
- Lists: `fields`, `sort`, `limit`, `cursor`; `format=csv` or `ndjson` without a limit gives every row.
- An answer never changes within a release; `release=N` pins it for ever.
"""
SHARED = frozenset(ListParams.model_fields)
"""Parameters that every list takes; they stand after its own."""
TAGS = {
    "Trade": "Flows as stated, sums that are safe, comparisons of both sides, shares, coverage",
    "Projects": "Named projects, portfolios stated of many, programmes",
    "Quotes": "What was said, topics, risks and mitigations",
    "People": "Experts and organizations",
    "Events and indicators": "What happened, and measures over time",
    "Figures and sources": "The receipt of each number, each source in its order, the arithmetic of figures",
    "Products": "The Harmonized System 2022: chapters, headings, subheadings",
    "Countries": "Economies, aggregates and other areas, with every code they go by",
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
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        add_problem(schema)
        for operation in operations(schema):
            correct(operation)
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
    """Say that lists are given as `a,b`, and that leaving a parameter out is the only null."""
    operation.get("parameters", []).sort(key=lambda one: one["name"] in SHARED)
    for parameter in operation.get("parameters", ()):
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
            schema["enum"] = [JSON, *TABLE_FORMATS]
        if examples := schema.pop("examples", None):
            parameter["example"] = examples[0]
        parameter["schema"] = schema
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if status.startswith(("4", "5")):
            content.pop("application/json", None)
        if status == "304":
            response.pop("content", None)


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Take null out of a choice of types."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return dict(schema)
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
