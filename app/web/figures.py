"""Figures and sources: the receipt of a number as a card, and each source number by number in the order of its text."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from app import codes
from app.web import words
from app.web.page import Page, Query, View, cursor_of
from app.within import Refused

ROWS = 100
"""Figures of a page."""
SOURCES = 25
"""Sources of a page."""
AT_ONCE = 6
"""Questions that are asked side by side."""
MOST = 30
"""Records that a receipt describes; of more it gives the names."""

Row = dict[str, Any]
Place = tuple[str, Query, str]
"""A page by path, parameters and fragment."""


@dataclass(frozen=True)
class Kind:
    """A kind of record that figures support: what one is called, where it is, and which page shows it."""

    name: str
    path: str
    title: Callable[[Row], str] = lambda row: str(row["name"])
    place: Callable[[Row], Place] | None = None
    is_listed: bool = False  # whether the path is of the list that has it, not its own


def flow_title(row: Row) -> str:
    """Say what a trade flow or a share is of."""
    pair = f"{row['reporter_name'] or row['reporter']} with {row['partner_name'] or row['partner']}"
    return f"{pair}: {words.flow(row['flow'])}, {words.period(row['period'])}"


def flow_place(row: Row) -> Place:
    """Give the page that compares a flow with what others state of it."""
    return "/compare", {"reporter": row["reporter"], "partner": row["partner"], "year": row["year"]}, ""


KINDS = {
    "trade_flows": Kind("Trade flow", "/v1/trade/flows/{key}", flow_title, flow_place),
    "trade_shares": Kind("Share of trade", "/v1/trade/shares", flow_title, is_listed=True),
    "project_portfolios": Kind(
        "Portfolio of projects",
        "/v1/projects/portfolios",
        place=lambda row: ("/projects", {}, row["slug"]),
        is_listed=True,
    ),
    "projects": Kind("Project", "/v1/projects/{key}", place=lambda row: ("/projects", {}, row["slug"])),
    "programmes": Kind(
        "Programme", "/v1/programmes/{key}", place=lambda row: ("/projects", {"programme": row["slug"]}, "")
    ),
    "experts": Kind("Person", "/v1/experts/{key}", place=lambda row: (f"/people/{row['slug']}", {}, "")),
    "sources": Kind(
        "Source", "/v1/sources/{key}", lambda row: str(row["title"]), lambda row: (f"/sources/{row['slug']}", {}, "")
    ),
    "events": Kind("Event", "/v1/events/{key}"),
    "indicators": Kind("Indicator", "/v1/indicators/{key}"),
    "organizations": Kind("Organization", "/v1/organizations/{key}"),
    "countries": Kind("Country", "/v1/countries/{key}"),
    "risks": Kind(
        "Risk or answer",
        "/v1/risks/{key}",
        lambda row: str(row["summary"]),
        lambda row: ("/people", {"topic": row["theme"]}, row["slug"]),
    ),
}
"""Records that figures support, by the names of their tables; observations are looked up in their indicators."""
QUALIFIERS = {one.value: one.label for one in codes.Qualifier}


@dataclass
class Supported:
    """A record that rests on a figure, and which fields of it do."""

    kind: str
    key: str
    fields: list[str]
    title: str | None = None
    path: str | None = None
    place: Place | None = None


async def figure(page: Page) -> dict[str, Any]:
    """Give what the receipt of a figure shows. Raises Refused."""
    id = page.request.path_params["id"]
    found = (await page.answer(f"/v1/figures/{id}"))["data"]
    rest = await page.answers(checks=("/v1/checks", {"source": found["source"]}))
    return {
        "figure": found,
        "qualifier": QUALIFIERS[found["qualifier"]],
        "scale": scale(found),
        "speaker": await speaker(page, found["stated_by"]),
        "supports": await supported(page, found),
        "checks": [one for one in rest["checks"]["data"] if id in (each["id"] for each in one["figures"])],
    }


def scale(found: Row) -> float | None:
    """Give where a value lies between the least and the greatest that its words allow, from 0 to 1; null without."""
    lower, upper = found["lower"], found["upper"]
    if lower is None or upper is None or lower >= upper:
        return None
    return float(min(max((found["value"] - lower) / (upper - lower), 0), 1))


async def speaker(page: Page, slug: str | None) -> Place | None:
    """Give the page of who states a figure: of a person, or what /v1 has of an organization."""
    if slug is None:
        return None
    is_person = await there(page, f"/v1/experts/{slug}")
    return (f"/people/{slug}" if is_person else f"/v1/organizations/{slug}"), {}, ""


async def there(page: Page, path: str) -> Row | None:
    """Give a record, or nothing where there is none. Raises Refused for all else."""
    try:
        found: Row = (await page.answer(path))["data"]
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return None
    return found


async def supported(page: Page, found: Row) -> list[Supported]:
    """Give the records that rest on a figure, each with its name and its page. Raises Refused."""
    records: dict[tuple[str, str], Supported] = {}
    for one in found["supports"]:
        key = (one["record"], one["key"])
        records.setdefault(key, Supported(*key, [])).fields.append(one["field"])
    own = [one for one in records.values() if one.kind in KINDS and not KINDS[one.kind].is_listed][:MOST]
    for start in range(0, len(own), AT_ONCE):
        batch = {str(number): one for number, one in enumerate(own[start : start + AT_ONCE])}
        paths = {name: KINDS[one.kind].path.format(key=one.key) for name, one in batch.items()}
        rows = await page.answers(**{name: (path, {}) for name, path in paths.items()})
        for name, one in batch.items():
            describe(one, rows[name]["data"], paths[name])
    for kind in {one.kind for one in records.values() if one.kind in KINDS and KINDS[one.kind].is_listed}:
        rows_of = {row["slug"]: row for row in await page.every(KINDS[kind].path, {"source": found["source"]})}
        for one in records.values():
            if one.kind == kind and one.key in rows_of:
                describe(one, rows_of[one.key], KINDS[kind].path)
    if observed := {one.key: one for one in records.values() if one.kind == "observations"}:
        await observations(page, found["source"], observed)
    return list(records.values())


def describe(one: Supported, row: Row, path: str) -> None:
    """Name a record and say where it is."""
    kind = KINDS[one.kind]
    one.kind, one.title, one.path = kind.name, kind.title(row), path
    one.place = kind.place(row) if kind.place else None


async def observations(page: Page, source: str, wanted: dict[str, Supported]) -> None:
    """Name observations by the indicators that they are values of. Raises Refused."""
    for indicator in await page.every("/v1/indicators", {"source": source, "fields": "slug,name"}):
        path = f"/v1/indicators/{indicator['slug']}"
        for value in (await page.answer(path))["data"]["observations"]:
            if one := wanted.pop(value["slug"], None):
                one.kind, one.path = "Value over time", path
                one.title = f"{indicator['name']}, {words.period(value['period'])}"
        if not wanted:
            return


async def sources(page: Page) -> dict[str, Any]:
    """Give what the list of sources shows. Raises Refused."""
    found = await page.answer("/v1/sources", {"limit": SOURCES, "cursor": page.query.get("cursor")})
    return {
        "found": found,
        "kinds": {one.value: f"{one.label}s" for one in codes.SourceKind},
        "holds": {row["slug"]: await holdings(page, row["slug"]) for row in found["data"]},
        "most": page.request.app.state.service.settings.count_limit,
        "after": cursor_of(found),
    }


async def holdings(page: Page, slug: str) -> dict[str, int | None]:
    """Give how many figures, quotes and trade flows a source has; null of more than are counted. Raises Refused."""
    asked = {"source": slug, "limit": 1}
    found = await page.answers(
        figures=("/v1/figures", {**asked, "fields": "id"}),
        quotes=("/v1/quotes", {**asked, "fields": "id"}),
        flows=("/v1/trade/flows", {**asked, "fields": "id"}),
    )
    return {name: one["meta"]["total"] for name, one in found.items()}


async def source(page: Page) -> dict[str, Any]:
    """Give what the page of a source shows: its figures and quotes in the order of the text. Raises Refused."""
    slug = page.request.path_params["slug"]
    if slug not in page.sources:
        await page.answer(f"/v1/sources/{slug}")
    cursor = page.query.get("cursor")
    asked = {"source": slug, "limit": ROWS, "cursor": cursor}
    found = await page.answers(
        figures=("/v1/figures", asked),
        releases=("/v1/releases", {"limit": 1000}),
        checks=("/v1/checks", {"source": slug}),
    )
    figures = found["figures"]["data"]
    after = cursor_of(found["figures"])
    first = figures[0]["start"] if cursor and figures else 0
    last = await start_of(page, {**asked, "cursor": after, "limit": 1}) if after else None
    quotes = [
        one
        for one in await page.every("/v1/quotes", {"source": slug})
        if one["start"] >= first and (last is None or one["start"] < last)
    ]
    return {
        "source": page.sources[slug],
        "holds": await holdings(page, slug),
        "most": page.request.app.state.service.settings.count_limit,
        "sections": sections(figures, quotes),
        "releases": [one for one in found["releases"]["data"] if one["source"] == slug],
        "checks": found["checks"]["data"],
        "cursor": cursor,
        "after": after,
    }


async def start_of(page: Page, query: Query) -> int:
    """Give where the first figure of a list stands. Raises Refused."""
    return int((await page.answer("/v1/figures", query))["data"][0]["start"])


def sections(figures: list[Row], quotes: list[Row]) -> list[tuple[str | None, list[tuple[str, Row]]]]:
    """Give figures and quotes in the order of the text, under the headings that they stand under."""
    items = [("figure", one) for one in figures] + [("quote", one) for one in quotes]
    found: list[tuple[str | None, list[tuple[str, Row]]]] = []
    for kind, one in sorted(items, key=lambda item: (item[1]["start"], item[0] == "figure", item[1]["end"])):
        if not found or found[-1][0] != one["section"]:
            found.append((one["section"], []))
        found[-1][1].append((kind, one))
    return found


VIEWS = (
    View("/figures/{id}", "figure.html", figure),
    View("/sources", "sources.html", sources, ("cursor",)),
    View("/sources/{slug}", "source.html", source, ("cursor",)),
)
