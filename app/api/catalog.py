"""What there is, for catalogues and tools: a Frictionless Data Package, and schema.org with DCAT as linked data."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.answer import unchanged
from app.ask import Ask
from app.envelope import HEADERS, OTHER, UNCHANGED, problems
from app.exports.answers import ExportParams, exports_of, file_answer, named
from app.exports.catalogue import catalogue
from app.exports.package import descriptor, open_zip
from app.routes import TableRoute

router = APIRouter(tags=["Exports"], route_class=TableRoute)
JSON, LINKED, ZIP = "application/json", "application/ld+json", "application/zip"


def declared(media_type: str, *others: int) -> dict[str, Any]:
    """Declare a route that answers one document."""
    schema = {"type": "string", "format": "binary"} if media_type == ZIP else {"type": "object"}
    content = {media_type: {"schema": schema}}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The document", "content": content, "headers": HEADERS},
        **UNCHANGED,
        **problems(422, 503, *others),
        **OTHER,
    }
    if media_type == ZIP:
        answers[206] = {"description": "The bytes that Range asks for", "content": content, "headers": HEADERS}
    return {"response_class": Response, "responses": answers}


def document(ask: Ask, body: dict[str, Any], media_type: str) -> Response:
    """Answer with a document that people read too."""
    content = orjson.dumps(body, option=orjson.OPT_INDENT_2)
    return Response(content, headers=ask.headers, media_type=media_type)


@router.get("/v1/datapackage.json", operation_id="get_data_package", **declared(JSON))
def get_data_package(request: Request, params: Annotated[ExportParams, Query()]) -> Response:
    """Get the exports as a Frictionless Data Package: every CSV file with types, keys, references and sources."""
    exports, ask = exports_of(request), named(request, params, JSON)
    if ask.is_known or ask.takes_none:
        return unchanged(ask)
    facts = exports.known.of(ask.edition.number)
    paths = descriptor(
        exports.tables, facts, lambda table: {"path": f"exports/{table.name}.csv?release={facts.release}"}
    )
    return document(ask, paths, JSON)


@router.get("/v1/datapackage.zip", operation_id="get_data_package_zip", **declared(ZIP, 416))
def get_data_package_zip(request: Request, params: Annotated[ExportParams, Query()]) -> Response:
    """Get the Frictionless Data Package with its CSV files in it; the same bytes for a release whenever asked."""
    exports, ask = exports_of(request), named(request, params, ZIP, is_lasting=False)
    if ask.is_known or ask.takes_none:
        return unchanged(ask)
    facts = exports.known.of(ask.edition.number)
    opened = open_zip(exports.files, facts)
    name = f"khorgos-datapackage-{facts.release}.zip"
    return file_answer(ask, opened, ZIP, {"Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/catalog.jsonld", operation_id="get_catalogue", **declared(LINKED))
def get_catalogue(request: Request, params: Annotated[ExportParams, Query()]) -> Response:
    """Get what there is as linked data, schema.org and DCAT in one: tables, files, periods, countries, sources."""
    exports, ask = exports_of(request), named(request, params, LINKED)
    if ask.is_known or ask.takes_none:
        return unchanged(ask)
    return document(ask, catalogue(exports.tables, exports.known.of(ask.edition.number)), LINKED)
