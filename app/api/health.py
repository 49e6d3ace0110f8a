"""Health: whether the process lives, whether it can answer, and its metrics."""

import orjson
from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app import schema
from app.ask import Service, take_no_parameters
from app.envelope import OTHER, problems

router = APIRouter(tags=["Health"], dependencies=[Depends(take_no_parameters)])


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The database answers, and has data."""

    status: str
    release: int


@router.get("/healthz", operation_id="get_health", response_model=Alive, responses=OTHER | problems(422))
async def get_health() -> Response:
    """Tell that the process lives; the database is not asked."""
    return Response(
        orjson.dumps({"status": "alive"}), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.get("/readyz", operation_id="get_readiness", response_model=Ready, responses=OTHER | problems(422, 503))
def get_readiness(request: Request) -> Response:
    """Tell that the database answers and which release is current."""
    service: Service = request.app.state.service
    schema.require_head(service.database)
    release = service.releases.newest()
    body = {"status": "ready", "release": release}
    return Response(orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/metrics", operation_id="get_metrics", response_class=Response, include_in_schema=False)
def get_metrics(request: Request) -> Response:
    """Give the metrics of this process in the format of Prometheus."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
