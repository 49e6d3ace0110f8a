"""What a chart is made of: its request, and what `/v1` answered to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.charts.frame import Frame, Picture, message
from app.charts.rows import Sources
from app.errors import Fault, OverLimit


@dataclass(frozen=True)
class Given:
    """What a chart is made of."""

    params: Any  # of the chart's own model
    answers: Mapping[str, Mapping[str, Any]]
    sources: Sources
    country: Callable[[str], str]  # what a code is called

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of an answer. Raises OverLimit where there are more than one page has."""
        answer = self.answers[name]
        rows: list[dict[str, Any]] = answer["data"]
        if answer["links"]["next"]:
            raise too_many(f"more than {len(rows)} rows", len(rows), "rows of one chart")
        return rows


def too_many(found: str, most: int, what: str) -> OverLimit:
    """Say that there is more than a picture shows, and how to narrow it: nothing is cut silently."""
    message = (
        f"there are {found}, at most {most} are the {what}: "
        "narrow by reporter, partner, flow, product, year, frequency, source or stated_by"
    )
    return OverLimit.of(Fault("filters", None, message))


def no_rows(given: Given, title: str, name: str) -> Picture:
    """Give a picture that says that nothing was found, and which filter leaves nothing."""
    why = given.answers[name]["meta"].get("why_empty")
    words = "No rows are found."
    if why:
        words = f"No rows are found: {why['parameter']} {', '.join(why['value'])} leaves nothing."
        near = ", ".join(map(str, why["nearest"]))
        words += f" Nearest to it: {near}." if near else ""
    frame = Frame(given.params.theme, given.params.width, axis=0)
    return Picture(title, "", [message(frame, words)], [words], axis=0)
