"""The index of the interface, and what each error means."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, FastAPI, Path
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.ask import take_no_parameters
from app.envelope import OTHER, problems
from app.errors import Fault, NoSuchRecord, leaves
from app.nearest import nearest

router = APIRouter(prefix="/v1", tags=["Index"], dependencies=[Depends(take_no_parameters)])


class ResourceItem(BaseModel):
    """A path of the interface."""

    path: str
    summary: str
    parameters: list[str]


class Index(BaseModel):
    """What there is to ask for."""

    name: str
    version: str
    docs: str
    openapi: str
    data: list[ResourceItem]


class ProblemKind(BaseModel):
    """What an error means and how to mend it."""

    type: str
    code: str = Field(examples=["KHG104"])
    status: int
    title: str
    repair: str


class Problems(BaseModel):
    """Every error there is."""

    data: list[ProblemKind]


def known_problems() -> dict[str, dict[str, Any]]:
    """Give every error that a request can meet, by its name."""
    return {
        error.problem: {
            "type": f"/v1/problems/{error.problem}",
            "code": error.code,
            "status": error.status,
            "title": error.title,
            "repair": error.repair,
        }
        for error in leaves()
    }


def operations(app: FastAPI) -> list[dict[str, Any]]:
    """Give the paths under /v1 with their summaries, from the OpenAPI description."""
    return [
        {
            "path": path,
            "summary": methods["get"]["description"],
            "parameters": [one["name"] for one in methods["get"].get("parameters", ()) if one["in"] == "query"],
        }
        for path, methods in app.openapi()["paths"].items()
        if path.startswith("/v1/")
    ]


@router.get("", operation_id="get_index", response_model=Index, responses=OTHER | problems(422))
def get_index(request: Request) -> Response:
    """List what there is to ask for, with a line and the parameters of each path."""
    root = request.scope.get("root_path", "")
    body = {
        "name": "Khorgos",
        "version": __version__,
        "docs": f"{root}/docs",
        "openapi": f"{root}/openapi.json",
        "data": operations(request.app),
    }
    return Response(orjson.dumps(body), media_type="application/json")


@router.get("/problems", operation_id="list_problems", response_model=Problems, responses=OTHER | problems(422))
def list_problems() -> Response:
    """List every error, with its stable code and its repair."""
    return Response(orjson.dumps({"data": list(known_problems().values())}), media_type="application/json")


@router.get(
    "/problems/{name}", operation_id="get_problem", response_model=ProblemKind, responses=OTHER | problems(404, 422)
)
def get_problem(name: Annotated[str, Path(examples=["unknown-parameter"])]) -> Response:
    """Get what an error means; the `type` of every error leads here."""
    known = known_problems()
    if name not in known:
        message = f"there is no problem {name[:60]!r}"
        raise NoSuchRecord.of(Fault("problem", name, message, did_you_mean=nearest(name, known)))
    return Response(orjson.dumps(known[name]), media_type="application/json")
