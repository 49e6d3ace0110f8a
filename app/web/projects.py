"""`/projects`: the named projects by status, each with the words behind it, and beside them what is stated of many."""

from typing import Any

from app import codes
from app.web.forms import Form, FormView, asked, countries, drawn
from app.web.page import Page, cursor_of
from app.web.snippets import downloads
from app.web.trade import counted

PROJECTS = "/v1/projects"
ROWS = 100
"""Projects of a page."""
OF_PORTFOLIOS = ("status", "country", "source")
"""Filters that narrow portfolios too."""
FILTERS = ("status", "kind", "country", "programme", "source", "value_min", "value_max")
FILES = ("csv", "xlsx", "parquet", "ndjson")
LABELS = {one.value: one.label for one in codes.ProjectStatus} | {"not_stated": "Status not stated"}

Row = dict[str, Any]


async def projects(page: Page) -> dict[str, Any]:
    """Give what the page of projects shows. Raises Refused."""
    form = Form(page.query)
    filters = {name: value for name, value in page.query.items() if name in FILTERS}
    asks = {**filters, "cursor": page.query.get("cursor"), "sort": "status,slug", "limit": ROWS}
    found = await asked(page, form, PROJECTS, asks)
    query = {name: filters[name] for name in OF_PORTFOLIOS if name in filters}
    portfolios = await page.answer("/v1/projects/portfolios", {**query, "limit": 1000}) if found else None
    programmes = await page.answer("/v1/programmes", {"limit": 1000, "fields": "slug,name"})
    places = await countries(page)
    chart = {"country": filters.get("country")}
    settings = page.request.app.state.service.settings
    return {
        "form": form,
        "found": found,
        "filters": filters,
        "loose": [name for name in filters if name not in OF_PORTFOLIOS],
        "groups": grouped(found["data"], portfolios["data"]) if found and portfolios else [],
        "portfolios": portfolios["data"] if portfolios else [],
        "portfolios_query": query,
        "empty": found["meta"].get("why_empty") if found else None,
        "counted": counted(found, settings.count_limit).replace("row", "named project") if found else None,
        "after": cursor_of(found) if found else None,
        "chart": chart if found and await drawn(page, "projects", chart) is None else None,
        "countries": places,
        "names": {one["code"]: one["name"] for one in places},
        "programmes": [(one["slug"], one["name"]) for one in programmes["data"]],
        "statuses": list(LABELS.items()),
        "kinds": [(one.value, one.label) for one in codes.ProjectKind],
        "labels": LABELS,
        "files": downloads(page, PROJECTS, filters, FILES),
    }


def grouped(named: list[Row], portfolios: list[Row]) -> list[tuple[str, list[Row], list[Row]]]:
    """Give the named projects and the portfolios of each status that has any, in the order of the statuses."""
    found = [
        (
            status.value,
            [row for row in named if row["status"] == status],
            [row for row in portfolios if row["status"] == status],
        )
        for status in codes.ProjectStatus
    ]
    return [group for group in found if group[1] or group[2]]


VIEWS = (FormView("/projects", "projects.html", projects, (*FILTERS, "cursor")),)
