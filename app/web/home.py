"""The first page: trade of the five with China, two voices on one trade, projects, checks, the latest release."""

from typing import Any

from app.web.page import Page, View

HOME = "KAZ"
"""The country whose two voices the first page shows."""


async def home(page: Page) -> dict[str, Any]:
    """Give what the first page shows."""
    whole = {"product": "TOTAL", "frequency": "A"}
    found = await page.answers(
        five=("/v1/trade/flows", {"reporter": "CHN", "partner": "central-asia", "latest": "true", **whole}),
        voices=("/v1/trade/compare", {"reporter": HOME, "partner": "CHN"}),
        projects=("/v1/projects/summary", {}),
        checks=("/v1/checks", {}),
        release=(f"/v1/releases/{page.edition.number}", {}),
        named=("/v1/projects", {"fields": "slug,name", "limit": 1000}),
    )
    five = shown(found["five"]["data"])
    year = max((row["year"] for row in five), default=None)
    checks = sorted(found["checks"]["data"], key=lambda one: (one["verdict"].startswith("holds"), one["slug"]))
    voices = [row for row in found["voices"]["data"] if row["frequency"] == "A"]
    latest = max((row["year"] for row in voices), default=None)
    order = ("export", "import", "total")
    voices = sorted(
        (row for row in voices if row["year"] == latest and row["flow"] in order),
        key=lambda row: order.index(row["flow"]),
    )
    return {
        "five": sorted(five, key=lambda row: -row["value_usd"]),
        "five_year": year,
        "five_query": {"reporter": "CHN", "partner": "central-asia", "year": year, "flow": five_flow(five), **whole},
        "voices": voices,
        "voices_year": latest,
        "apart": next((row for row in reversed(voices) if row["gap"]), None),
        "projects": found["projects"],
        "checks": checks,
        "conflicts": sum(one["verdict"] == "conflicts" for one in checks),
        "release": found["release"]["data"],
        "names": {one["slug"]: one["name"] for one in found["named"]["data"]},
    }


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give total trade where it is stated, else exports: never both in one picture; of the newest year."""
    year = max((row["year"] for row in rows), default=None)
    kept = [row for row in rows if row["year"] == year]
    return [row for row in kept if row["flow"] == five_flow(kept)]


def five_flow(rows: list[dict[str, Any]]) -> str:
    """Give the flow that the first picture is of."""
    return "total" if any(row["flow"] == "total" for row in rows) else "export"


VIEWS = (View("/", "home.html", home),)
