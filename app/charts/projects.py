"""The chart of projects by status: what portfolios state, and apart from it the named projects."""

from typing import Any

from app.charts.bars import lying
from app.charts.frame import Frame, Picture, View, heading, message
from app.charts.given import Given, too_many
from app.charts.look import clean, pens
from app.charts.rows import amount
from app.codes import ProjectStatus

PORTFOLIOS_MOST = 40
NAMED_MOST = 6
"""Named projects of a status that are told by their names."""


def projects(given: Given) -> Picture:
    """Give the picture of projects by status. Raises OverLimit where it would be too long."""
    rows, params = given.rows("summary"), given.params
    labels = {row["status"]: label_of(row) for row in rows}
    portfolios = [{**one, "label": labels[one["status"]]} for one in given.rows("portfolios")]
    known = {row["slug"]: clean(row["name"]) for row in given.rows("projects")}
    if len(portfolios) > PORTFOLIOS_MOST:
        raise too_many(f"{len(portfolios)} portfolios", PORTFOLIOS_MOST, "bars of one chart")
    frame = Frame(params.theme, params.width, axis=0)
    colours = [pen.colour for pen in pens(params.theme, 2)]
    stated = [portfolio_bar(given, one, colours[0]) for one in in_order(portfolios, list(labels))]
    named = [named_bar(row, known, colours[1]) for row in rows]
    where = ", ".join(sorted(clean(given.country(code)) for code in params.country))
    figures = [f"{bar['title']}: {bar['words'] or 'no number stated'} ({bar['says']})." for bar in stated]
    figures += [f"Named projects, {bar['title'].lower()}: {bar['words']}." for bar in named]
    return Picture(
        f"Joint projects{f' of {where}' if where else ''} by status",
        "Number of projects; portfolios may overlap and name no projects, so nothing here is added",
        [
            panel(frame, "What sources state of many projects at once", stated, "No portfolio is stated."),
            panel(frame, "Projects that sources name, on a scale of their own", named, "No project is named."),
        ],
        figures,
        axis=0,
        sources=sorted({one["source"] for one in [*portfolios, *given.rows("projects")]}),
    )


def label_of(row: dict[str, Any]) -> str:
    """Give what a status is called."""
    return "Status not stated" if row["status"] == ProjectStatus.NOT_STATED else str(row["label"])


def in_order(portfolios: list[dict[str, Any]], statuses: list[str]) -> list[dict[str, Any]]:
    """Put portfolios in the order of the statuses."""
    return sorted(portfolios, key=lambda one: (statuses.index(one["status"]), one["slug"]))


def portfolio_bar(given: Given, one: dict[str, Any], colour: str) -> dict[str, Any]:
    """Give the bar of a portfolio."""
    source = given.sources.get(one["source"])
    name = source.short if source else one["source"]
    speaker = one["stated_by_name"] or one["stated_by"]
    voice = f"{clean(speaker)}, in {name}" if speaker else f"{name}, in its own voice"
    count = one["project_count"]
    worth = f"worth {amount(one['value_usd'])}; " if one["value_usd"] is not None else ""
    return {
        "title": f"{one['label']}: {clean(one['name'])}",
        "says": f"{worth}{voice}",
        "value": count,
        "words": f"{count:,}" if count is not None else "number not stated",
        "colour": colour,
        "is_light": False,
    }


def named_bar(row: dict[str, Any], known: dict[str, str], colour: str) -> dict[str, Any]:
    """Give the bar of the named projects of a status, with their names where they are few."""
    count = row["projects_named"]
    names = [known.get(slug, slug) for slug in row["projects"]]
    return {
        "title": label_of(row),
        "says": ", ".join(names) if count <= NAMED_MOST else "",
        "value": count,
        "words": f"{count:,}",
        "colour": colour,
        "is_light": False,
    }


def panel(frame: Frame, title: str, bars: list[dict[str, Any]], none: str) -> View:
    """Give bars below a title, or the words that there are none."""
    view = lying(frame, bars) if bars else message(frame, none)
    return {**view, "title": heading(frame, title, frame.inner)}
