"""`/trade`: flows by the filters of the API, as a form, a chart, a table, and a query to take away."""

from collections import Counter
from typing import Any
from urllib.parse import quote

from app import codes
from app.errors import Fault, InvalidValue
from app.nearest import nearest
from app.web.forms import Form, FormView, asked, countries, drawn
from app.web.page import Page, cursor_of, spelled
from app.web.snippets import take_list

FLOWS = "/v1/trade/flows"
ROWS = 50
"""Rows of a page unless the reader asks for another number."""
KINDS = {"lines": "Lines", "bars": "Bars", "multiples": "Small multiples"}
ELSEWHERE = ("format", "shape")
"""Parameters of the list that a page cannot follow."""
FIELDS = (
    *("country", "reporter", "partner", "flow", "year_from", "year_to", "product", "level", "source", "frequency"),
    *("sort", "year", "period", "classification", "stated_by", "method", "economies", "value_min", "value_max"),
    "latest",
)
"""Parameters that the form has a field for."""
KEPT = ("product_level", "breakdown", "breakdowns", "fields", "limit", "count")
"""Parameters that the form keeps as they are."""
NOT_DRAWN = ("sort", "limit", "cursor", "count", "fields")
"""Parameters of a list that a picture does not have."""
SHOWN = (
    *("reporter", "reporter_name", "partner", "partner_name", "flow", "product", "product_name", "frequency"),
    *("period", "year", "value_usd", "valuation", "obs_status", "method", "source", "stated_by", "stated_by_name"),
    *("note", "evidence"),
)
"""Fields of a row that the table shows."""
HEADINGS = (
    ("reporter", "Reporter", ""),
    ("partner", "Partner", ""),
    ("flow", "Flow", ""),
    ("product", "Product", ""),
    ("period", "Period", "-"),
    ("value_usd", "Value", "-"),
    ("source", "Who says so", ""),
)
"""Columns that can be sorted by, and the order that a first click gives."""
SORTS = {
    "-value_usd": "largest first",
    "value_usd": "smallest first",
    "-period": "newest first",
    "period": "oldest first",
}
LEVELS = {"0": "all goods together", "2": "chapters, 2 digits", "4": "headings, 4 digits", "6": "subheadings, 6 digits"}


async def trade(page: Page) -> dict[str, Any]:
    """Give what the page of trade shows. Raises Refused, InvalidValue."""
    refuse_misfits(page)
    query = {name: value for name, value in page.query.items() if name != "kind"}
    form = Form(page.query)
    settings = page.request.app.state.service.settings
    limit = query.get("limit") or min(ROWS, settings.page_limit_max)
    fields = query["fields"].split(",") if "fields" in query else None
    wanted = {**query, "limit": limit, "fields": [*dict.fromkeys((*SHOWN, *fields))] if fields else None}
    found = await asked(page, form, FLOWS, wanted)
    rows = found["data"] if found else []
    after = cursor_of(found) if found else None
    exact = {**query, "limit": limit} if after or "cursor" in query else query
    kind = page.query.get("kind") or fitting(rows)
    listed = {name: value for name, value in page.query.items() if name != "cursor"}
    return {
        "form": form,
        "found": found,
        "rows": rows,
        "empty": (found or {"meta": {}})["meta"].get("why_empty"),
        "counted": counted(found, settings.count_limit) if found else None,
        "after": after,
        "listed": listed,
        "unpinned": f"{quote(page.at)}/trade?{spelled(listed)}",
        "headings": headings(page, listed),
        "chips": [name for name in listed if name not in ("sort", "limit", "count", "fields", "kind")],
        "kind": kind,
        "chart": await picture(page, query, kind) if rows else None,
        "cautions": cautions(rows),
        "taken": take_list(page, FLOWS, exact, fields) if found else None,
        **await choices(page),
    }


def fitting(rows: list[dict[str, Any]]) -> str:
    """Give the kind of chart that rows are shown as unasked: lines take three periods of one length."""
    periods = {(row["frequency"], row["period"]) for row in rows}
    longest = max(Counter(frequency for frequency, _ in periods).values(), default=0)
    return "lines" if longest >= 3 else "bars"


def refuse_misfits(page: Page) -> None:
    """Refuse what a page cannot be asked for. Raises InvalidValue."""
    kind = page.query.get("kind")
    faults = [
        Fault(name, page.query[name], f"a page has no {name}; {FLOWS} takes it, and the links below the table have it")
        for name in ELSEWHERE
        if name in page.query
    ]
    if kind is not None and kind not in KINDS:
        faults.append(
            Fault(
                "kind",
                kind,
                f"kind cannot be {kind[:60]!r}: it takes {', '.join(KINDS)}",
                tuple(KINDS),
                nearest(kind, KINDS),
            )
        )
    if faults:
        raise InvalidValue.of(*faults)


def counted(found: dict[str, Any], most: int) -> str:
    """Say how many rows there are; where they were not counted, more than how many."""
    total = found["meta"]["total"]
    if total is None:
        return f"More than {max(most, len(found['data'])):,} rows"
    return "1 row" if total == 1 else f"{total:,} rows"


def headings(page: Page, listed: dict[str, str]) -> list[dict[str, str | None]]:
    """Give the columns with their order now and a link to the order that a click gives."""
    given = listed.get("sort", "").split(",")[0]
    found = []
    for name, label, first in HEADINGS:
        order = {name: "ascending", f"-{name}": "descending"}.get(given)
        turned = {"ascending": f"-{name}", "descending": name, None: f"{first}{name}"}[order]
        found.append(
            {"name": name, "label": label, "order": order, "link": page.link("/trade", {**listed, "sort": turned})}
        )
    return found


async def picture(page: Page, query: dict[str, str], kind: str) -> dict[str, Any]:
    """Give what a chart is asked with, or why there is none."""
    asks = {name: value for name, value in query.items() if name not in NOT_DRAWN}
    if asks.get("latest") == "true":
        return {"query": None, "why": "a picture shows every period, and only the latest of each series is asked for"}
    asks.pop("latest", None)
    asks["kind"] = kind
    return {"query": asks, "why": await drawn(page, "trade", asks)}


def cautions(rows: list[dict[str, Any]]) -> list[str]:
    """Say why the rows must not be added up."""
    pairs = {(row["reporter"], row["partner"]) for row in rows}
    flows = {row["flow"] for row in rows}
    products = {row["product"] for row in rows}
    found = []
    if len(voices := {(row["source"], row["stated_by"]) for row in rows}) > 1:
        found.append(f"They come from {len(voices)} voices, and each states its own number for what may be one trade.")
    if any(pair[::-1] in pairs for pair in pairs):
        found.append("Some are two sides of one trade: what one country exports, the other records as imports.")
    if codes.Flow.TOTAL in flows and len(flows) > 1:
        found.append("Total trade already contains exports and imports.")
    if codes.TOTAL in products and len(products) > 1:
        found.append("TOTAL already contains every product.")
    elif len({len(product) for product in products}) > 1:
        found.append("Longer product codes are parts of shorter ones.")
    if len({row["frequency"] for row in rows}) > 1:
        found.append("Months, quarters and parts of a year stand beside whole years that contain them.")
    return found


async def choices(page: Page) -> dict[str, Any]:
    """Give what the fields of the form suggest."""
    found = await page.answers(
        chapters=("/v1/products", {"level": 2, "fields": "code,description", "limit": 1000}),
        first=(FLOWS, {"fields": "year", "sort": "year", "limit": 1}),
        last=(FLOWS, {"fields": "year", "sort": "-year", "limit": 1}),
    )
    years = [row["year"] for name in ("first", "last") for row in found[name]["data"] if row["year"] is not None]
    return {
        "countries": await countries(page),
        "chapters": found["chapters"]["data"],
        "years": [min(years), max(years)] if years else [],
        "flows": list(codes.Flow),
        "frequencies": list(codes.Frequency),
        "methods": list(codes.Method),
        "levels": LEVELS,
        "sorts": SORTS,
        "kinds": KINDS,
        "kept": KEPT,
    }


VIEWS = (FormView("/trade", "trade.html", trade, None),)
