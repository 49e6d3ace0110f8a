"""Forms: what `/v1` refuses is said at the field it is of, with what was probably meant and the refusal's status."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.web.page import Page, Query, View, corrected
from app.within import Refused

STATUS = "khorgos.form"
"""Where a request's scope holds the status of what was refused."""


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a field, and the page as it was probably meant."""

    message: str
    meant: str | None
    link: str | None


@dataclass
class Form:
    """The fields of a form as they were given, and what is wrong with each."""

    values: Query
    wrong: dict[str, list[Wrong]] = field(default_factory=dict)
    title: str = ""

    def value(self, name: str) -> str:
        """Give what a field holds."""
        return str(self.values.get(name, ""))

    def described(self, name: str) -> str:
        """Give the ids of what is said of a field."""
        return " ".join(f"wrong-{name}-{number}" for number in range(1, len(self.wrong.get(name, ())) + 1))


@dataclass(frozen=True)
class FormView(View):
    """A page with a form, which is shown where the form was filled in wrongly too."""

    async def answer(self, request: Request) -> Response:
        """Answer with the page, under the status of what was refused."""
        response = await super().answer(request)
        if status := request.scope.get(STATUS):
            response.status_code = status
            del response.headers["etag"], response.headers["last-modified"]
            response.headers["cache-control"] = "no-store"
        return response


async def asked(page: Page, form: Form, path: str, query: Query) -> dict[str, Any] | None:
    """Give what /v1 answers; nothing where the form is wrong, which it then says. Raises Refused for all else."""
    try:
        return await page.answer(path, query)
    except Refused as refused:
        if refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        page.request.scope[STATUS] = refused.status
        form.title = refused.problem["title"]
        for fault in refused.problem["errors"] or [whole(refused.problem)]:
            form.wrong.setdefault(fault["parameter"], []).append(told(page, fault))
        return None


def whole(problem: dict[str, Any]) -> dict[str, Any]:
    """Give a problem that names no parameter as a fault of the request."""
    return {"parameter": "", "value": None, "message": problem["detail"], "did_you_mean": None}


def told(page: Page, fault: dict[str, Any]) -> Wrong:
    """Say what is wrong, with a link to the page with what was probably meant in its place."""
    query = corrected(page.query, fault)
    if query is None:
        return Wrong(fault["message"], None, None)
    return Wrong(fault["message"], fault["did_you_mean"], page.link(page.path, query))


async def drawn(page: Page, name: str, query: Query) -> str | None:
    """Say why a chart cannot be drawn; nothing where it can."""
    try:
        await page.answer(f"/v1/charts/{name}.vl.json", query)
    except Refused as refused:
        return str(refused.problem["detail"])
    return None


async def countries(page: Page) -> list[dict[str, str]]:
    """Give what a country field suggests: names of economies, aggregates and groups, codes where a name has commas."""
    found = await page.answers(
        one=("/v1/countries", {"fields": "name,iso3,kind", "sort": "name", "limit": 1000}),
        many=("/v1/groups", {"fields": "name,slug", "limit": 1000}),
    )
    single = [
        {"name": row["name"], "code": row["iso3"], "kind": row["kind"]}
        for row in found["one"]["data"]
        if row["kind"] != "area"
    ]
    return [{"name": row["name"], "code": row["slug"], "kind": "group"} for row in found["many"]["data"]] + single
