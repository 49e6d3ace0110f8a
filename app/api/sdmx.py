"""SDMX-REST under /sdmx/2.1: data, what codes there are, and structures, as stock clients ask for them."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.errors import NoSuchPath
from app.routes import TableRoute
from app.sdmx.answers import answer_available, answer_data, answer_structures
from app.sdmx.asking import KINDS, AvailableParams, DataParams, StructureParams

# Its paths have parts that may be left out, which OpenAPI cannot say; docs/sdmx.md describes them.
router = APIRouter(prefix="/sdmx/2.1", tags=["SDMX"], route_class=TableRoute, include_in_schema=False)


@router.get("/data/{rest:path}", operation_id="get_sdmx_data")
def get_sdmx_data(request: Request, params: Annotated[DataParams, Query()]) -> Response:
    """Get the observations of a dataflow."""
    return answer_data(request, params, request.path_params["rest"])


@router.get("/availableconstraint/{rest:path}", operation_id="get_sdmx_available")
def get_sdmx_available(request: Request, params: Annotated[AvailableParams, Query()]) -> Response:
    """Get the codes that the observations of a dataflow have."""
    return answer_available(request, params, request.path_params["rest"])


@router.get("", operation_id="list_sdmx_dataflows")
@router.get("/", operation_id="list_sdmx_dataflows_too")
@router.get("/{kind}", operation_id="list_sdmx_structures")
@router.get("/{kind}/{rest:path}", operation_id="get_sdmx_structures")
def get_sdmx_structures(request: Request, params: Annotated[StructureParams, Query()]) -> Response:
    """Get dataflows, data structures, concepts or codelists; the dataflows where none of them is named."""
    kind = request.path_params.get("kind", "dataflow")
    if kind not in KINDS:
        known = ("data/{flow}", "availableconstraint/{flow}", *KINDS)
        raise NoSuchPath(f"there is nothing at this path; /sdmx/2.1 has {', '.join(known)}")
    return answer_structures(request, params, kind, request.path_params.get("rest", ""))
