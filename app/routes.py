"""How a route reads its query: into its one model at once.

FastAPI looks at the annotations of every parameter in each request, which took as long as all the rest of the way in;
the model says the same, and its refusals are the same. A route that works in a thread holds one of the places for
requests meanwhile: what finds none waits on the event loop, where it holds nothing.
"""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, get_origin

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TableRoute(APIRoute):
    """A route whose endpoint takes a request and the model of its query alone, or any other route."""

    def get_route_handler(self) -> Handler:
        """Give what answers a request."""
        if self.dependencies or set(inspect.signature(self.endpoint).parameters) != {"request", "params"}:
            return in_its_place(super().get_route_handler())
        model: Any = self.dependant.query_params[0].field_info.annotation
        lists = {name for name, one in model.model_fields.items() if get_origin(one.annotation) is tuple}

        async def handle(request: Request) -> Response:
            params = read(model, lists, request.query_params)
            async with request.app.state.service.admitted():
                answer: Response = await run_in_threadpool(self.endpoint, request=request, params=params)
            return answer

        return handle


def in_its_place(handler: Handler) -> Handler:
    """Make a handler hold one of the places for requests while it makes its answer; sending it takes none."""

    async def handle(request: Request) -> Response:
        async with request.app.state.service.admitted():
            return await handler(request)

    return handle


def read(model: type[BaseModel], lists: set[str], query: QueryParams) -> BaseModel:
    """Read a query into a model, some of whose parameters take a list. Raises RequestValidationError."""
    given: dict[str, Any] = {}
    for name, value in query.multi_items():
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if name not in lists and (len(values) == 1 or name in model.model_fields):
            given[name] = values[-1]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in found]) from None
