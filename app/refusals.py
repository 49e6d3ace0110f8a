"""What Pydantic, FastAPI and the router refuse, put into words and told as one of the `errors`."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount, Route

from app.errors import (
    Fault,
    InvalidSetting,
    InvalidValue,
    KhorgosError,
    MethodNotAllowed,
    MissingParameter,
    NoSuchPath,
    OverLimit,
    RequestError,
    UnknownParameter,
    method_not_allowed,
    respond,
)
from app.nearest import nearest

SHORT = 60
"""Length up to which a wrong value is repeated in a message."""
PLAIN = {
    "greater_than": "it must be above {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be below {lt}",
    "less_than_equal": "it must be at most {le}",
    "string_too_short": "it is empty",
    "string_too_long": "it has more than {max_length} characters",
    "string_type": "it must be a text",
    "string_pattern_mismatch": "it must be of the form {pattern}",
    "too_short": "it is empty",
    "too_long": "it has more than {max_length} values",
    **dict.fromkeys(("int_parsing", "int_parsing_size", "int_from_float", "int_type"), "it must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "it must be a number"),
}
"""What Pydantic's errors say, by their type; what is not here says it in words of its own."""
OVER = frozenset({"too_long", "string_too_long", "over_limit"})
"""Errors that are of a limit."""
YEARS = re.compile(r"(\d{4})\s*(?:-|\u2013|:|/|\.\.|to)\s*(\d{4})", re.ASCII)
"""Years from one to another, as other interfaces take them in one parameter."""
PLAIN_PATH = re.compile(r"(?:/sdmx/2\.1)?[A-Za-z0-9_~/-]+")
"""Paths that may be repeated to who asks for them: no host is in one."""
NEXT_PAGE = "follow `links.next`, or take the cursor in it"


def install(app: FastAPI) -> None:
    """Answer every foreseen error of an application as a problem; the guard answers the others."""
    app.add_exception_handler(KhorgosError, respond)  # type: ignore[arg-type]  # Starlette types the handler too widely
    app.add_exception_handler(RequestValidationError, invalid)  # type: ignore[arg-type]  # the same
    app.add_exception_handler(HTTPException, not_routed)  # type: ignore[arg-type]  # the same


def invalid(request: Request, error: RequestValidationError) -> Response:
    """Answer a request whose parameters FastAPI refused."""
    known = parameters_of(request.scope.get("route"))
    faults = [fault_of(one, known) for one in without_echoes(error.errors())]
    first = faults[0][0]
    return respond(request, first.of(*(fault for _, fault in faults)))


def parameters_of(route: Any) -> list[str]:
    """Give the query parameters that a route takes: fields of the one model that holds them."""
    models = [parameter.field_info.annotation for parameter in route.dependant.query_params]
    return [name for model in models for name in getattr(model, "model_fields", ())]


def without_echoes(errors: Sequence[Any]) -> Iterator[Any]:
    """Leave out that a list is empty, where it is so because its values were refused."""
    others = {name_of(error) for error in errors if error["type"] != "too_short"}
    return (error for error in errors if error["type"] != "too_short" or name_of(error) not in others)


def name_of(error: dict[str, Any]) -> str:
    """Give the parameter that an error is of."""
    return str(error["loc"][1] if len(error["loc"]) > 1 else error["loc"][0])


def fault_of(error: dict[str, Any], known: Sequence[str]) -> tuple[type[RequestError], Fault]:
    """Translate one of Pydantic's errors on a request with these parameters."""
    parameter, value = name_of(error), error.get("input")
    if error["type"] == "extra_forbidden":
        return UnknownParameter, unknown_parameter(parameter, value, tuple(known))
    if error["type"] == "missing":
        return MissingParameter, Fault(parameter, None, f"parameter {parameter!r} is required")
    if allowed := allowed_by(error):
        message = f"{parameter} cannot be {shown(value)}: it takes {', '.join(allowed)}"
        return InvalidValue, Fault(parameter, value, message, allowed, nearest(str(value), allowed))
    bounds = (f"{parameter}_from", f"{parameter}_to")
    if (years := YEARS.fullmatch(str(value))) and set(bounds) <= set(known):
        message = (
            f"{parameter} cannot be {shown(value)}: it takes years one by one, {' and '.join(bounds)} take a range"
        )
        return InvalidValue, Fault(parameter, value, message, None, f"{bounds[0]}={years[1]}&{bounds[1]}={years[2]}")
    kind = OverLimit if error["type"] in OVER else InvalidValue
    return kind, Fault(parameter, value, f"{parameter} cannot be {shown(value)}: {why(error)}")


def unknown_parameter(parameter: str, value: Any, known: tuple[str, ...]) -> Fault:
    """Say that there is no such parameter, and which one was meant."""
    meant = nearest(parameter, known)
    more = f": {NEXT_PAGE}" if meant == "cursor" else ""
    return Fault(parameter, value, f"unknown parameter {parameter[:SHORT]!r}{more}", known, meant)


def allowed_by(error: dict[str, Any]) -> tuple[str, ...]:
    """Give the values of a closed list that Pydantic held a parameter to; none where it is no closed list."""
    context = error.get("ctx", {})
    if error["type"] in ("enum", "literal_error"):
        return tuple(re.findall(r"'([^']*)'", context["expected"]))
    return tuple(context.get("allowed", ()))


def shown(value: Any) -> str:
    """Give a wrong value as a message repeats it."""
    text = ",".join(map(str, value)) if isinstance(value, list) else value
    return repr(text if len(str(text)) <= SHORT else str(text)[:SHORT] + "...")


def why(error: dict[str, Any]) -> str:
    """Say in plain words what is wrong with a value."""
    if error["type"] not in PLAIN:
        return str(error["msg"]).removeprefix("Value error, ")
    bounds = {
        name: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for name, bound in error.get("ctx", {}).items()
    }
    return PLAIN[error["type"]].format(**bounds)


def invalid_setting(error: ValidationError, prefix: str) -> InvalidSetting:
    """Give the error of settings that are read from variables whose names begin with a prefix."""
    return InvalidSetting("; ".join(wrong_setting(dict(one), prefix) for one in error.errors()))


def wrong_setting(error: dict[str, Any], prefix: str) -> str:
    """Say what is wrong with one setting."""
    allowed = allowed_by(error)
    reason = f"it takes {', '.join(allowed)}" if allowed else why(error)
    return f"{prefix}{str(error['loc'][0]).upper()} cannot be {shown(error['input'])}: {reason}"


def not_routed(request: Request, error: HTTPException) -> Response:
    """Answer what Starlette's router or a static file refuses."""
    if error.status_code == MethodNotAllowed.status:
        return respond(request, method_not_allowed())
    root = request.scope.get("root_path", "")
    path = request.url.path.removeprefix(root)
    meant = path_meant(request, path)
    message = "there is nothing at this path; GET /v1 lists the resources"
    return respond(request, NoSuchPath.of(Fault("path", None, message, None, meant and root + meant)))


def path_meant(request: Request, path: str) -> str | None:
    """Give the path that was meant: without the slash at its end, under /v1, the first below this one, or like it."""
    bare = path.rstrip("/")
    for guess in (bare, f"/v1{bare}"):
        if bare and guess != path and PLAIN_PATH.fullmatch(guess) and leads_somewhere(request, guess):
            return guess
    pages = [route.path for route in request.app.routes if isinstance(route, Route)]
    known = [one for one in (*request.app.openapi()["paths"], *pages) if "{" not in one]
    below = next((one for one in known if bare and one.startswith(f"{bare}/")), None)
    return below or nearest(bare, known)


def leads_somewhere(request: Request, path: str) -> bool:
    """Whether a path has an answer of its own."""
    scope = {**request.scope, "path": request.scope.get("root_path", "") + path}
    routes = (route for route in request.app.routes if not isinstance(route, Mount))
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
