"""Health: whether the process lives, whether it can answer, and its metrics."""

from typing import Any, Literal

import orjson
from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from app import citus, schema
from app.ask import take_no_parameters
from app.envelope import OTHER, problems
from app.errors import DatabaseUnavailable
from app.releases import Releases
from app.replica import Databases

router = APIRouter(tags=["Health"], dependencies=[Depends(take_no_parameters)])


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The database answers, and has data."""

    status: Literal["ready", "degraded"]
    release: int
    lost: tuple[str, ...] = Field(
        default=(),
        description="what cannot be reached where the status is degraded: primary, replica, or a node of Citus by "
        "host and port",
    )


@router.get("/healthz", operation_id="get_health", response_model=Alive, responses=OTHER | problems(422))
async def get_health() -> Response:
    """Tell that the process lives; the database is not asked."""
    return Response(
        orjson.dumps({"status": "alive"}), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.get("/readyz", operation_id="get_readiness", response_model=Ready, responses=OTHER | problems(422, 503))
def get_readiness(request: Request) -> Response:
    """Tell that the database answers and which release is current."""
    releases: Releases = request.app.state.service.releases
    lost = lost_of(releases.databases)
    body: dict[str, Any] = {"status": "degraded" if lost else "ready", "release": releases.newest()}
    if lost:
        body["lost"] = lost
    return Response(orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-store"})


def lost_of(databases: Databases) -> list[str]:
    """Give what cannot be reached, nodes of Citus too. Raises DatabaseUnavailable for all, SchemaMismatch."""
    lost: list[str] = []
    nodes: list[str] = []
    for one in databases.all:
        try:
            if not one.is_lost:
                schema.require_head(one.database)
                if one is databases.primary:
                    nodes = citus.lost(one.database)
        except DatabaseUnavailable:
            if len(databases.all) == 1:
                raise
            one.lose()
        if one.is_lost:
            lost.append(one.name)
    if len(lost) == len(databases.all):
        raise DatabaseUnavailable("neither the primary nor the replica can be reached")
    return lost + nodes


@router.get("/metrics", operation_id="get_metrics", response_class=Response, include_in_schema=False)
def get_metrics(request: Request) -> Response:
    """Give the metrics of this process in the format of Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
