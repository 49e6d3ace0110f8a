"""The page of a chart: title, key, panels and footer, one below the other, as wide as was asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil, floor, log10
from typing import Any

from app.charts.look import (
    COLOURS,
    SMALL,
    TEXT,
    TITLE,
    Colours,
    Pen,
    Theme,
    config,
    high,
    length,
    wrapped,
)

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
EDGE = 16
"""Pixels around everything."""
AXIS = 40
"""Pixels left of a panel for its axis."""
BOLD = 1.08
"""How much wider than others bold letters are."""
SYMBOL = 34
"""Pixels of a key's item before its words."""
MONTHS = "utcmonth(datum.value) ? utcFormat(datum.value, '%b') : [utcFormat(datum.value, '%b'), utcyear(datum.value)]"
"""The name of a month, and below January the year, as Vega has it."""
View = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """What views are laid out in."""

    theme: Theme
    width: int
    axis: int = AXIS

    @property
    def colours(self) -> Colours:
        """The colours of the theme."""
        return COLOURS[self.theme]

    @property
    def inner(self) -> int:
        """Pixels between the edges."""
        return self.width - 2 * EDGE

    @property
    def plot(self) -> int:
        """Pixels of a panel that has the whole width."""
        return self.inner - self.axis


@dataclass(frozen=True)
class Item:
    """A line of a key: how something is drawn, and what it is."""

    words: str
    pen: Pen
    is_line: bool = True
    face: str | None = None  # the colour inside its shape; else the pen's


@dataclass(frozen=True)
class Picture:
    """What a chart says and shows."""

    title: str
    subtitle: str
    panels: Sequence[View]
    figures: Sequence[str]  # what it shows, in sentences
    key: Sequence[Item] = ()
    notes: Sequence[str] = ()
    axis: int = AXIS
    sources: Sequence[str] = field(default=())  # slugs


def specification(picture: Picture, theme: Theme, width: int, cited: Sequence[str], meta: dict[str, Any]) -> View:
    """Give the Vega-Lite specification of a picture; `cited` are the lines below it, from the sources on."""
    frame = Frame(theme, width, picture.axis)
    notes = [f"Note: {note}" for note in picture.notes]
    panels = [*([key(frame, picture.key)] if picture.key else []), *picture.panels, footer(frame, notes, cited)]
    return {
        "$schema": SCHEMA,
        "description": description(picture, notes, cited),
        "usermeta": meta,
        "background": frame.colours.background,
        "padding": EDGE,
        "title": {
            "text": wrapped(picture.title, frame.inner / BOLD, TITLE),
            "subtitle": wrapped(picture.subtitle, frame.inner) if picture.subtitle else [],
        },
        "vconcat": panels,
        "config": config(theme),
    }


def description(picture: Picture, notes: Sequence[str], cited: Sequence[str]) -> str:
    """Give a picture in words."""
    parts = [picture.title, picture.subtitle, *picture.figures, *notes, *cited]
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part)


def key(frame: Frame, items: Sequence[Item]) -> View:
    """Give the view that tells how each series is drawn, in as many columns as there is room for."""
    columns = max(1, min(len(items), 3, frame.inner // 300))
    room = frame.inner // columns
    values: list[dict[str, Any]] = []
    top = 0
    for start in range(0, len(items), columns):
        row = items[start : start + columns]
        lines = [wrapped(item.words, room - SYMBOL - 12) for item in row]
        for column, told in enumerate(lines):
            x = column * room - frame.axis + 2
            at = {"n": start + column, "x": x, "y": top + TEXT // 2, "words": told}
            values.append({**at, "text_x": x + SYMBOL, "text_y": top, "middle": x + SYMBOL // 2 - 5})
        top += max(map(len, lines)) * high(TEXT) + 5
    ends = [{**one, "x": one["x"] + end} for one in values if items[one["n"]].is_line for end in (0, SYMBOL - 10)]
    dash = [items[n].pen.dash for n in range(len(items))]
    layer = [
        {
            "data": {"values": ends},
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {
                **pixels("x", "y"),
                "strokeDash": {**coded("n", dash), "legend": None},
                "color": coded("n", [item.pen.colour for item in items]),
            },
        },
        points(values, items),
        {
            "data": {"values": values},
            "mark": {"type": "text", "align": "left", "baseline": "top", "lineHeight": high(TEXT)},
            "encoding": {**pixels("text_x", "text_y"), "text": {"field": "words"}},
        },
    ]
    return {"width": frame.plot, "height": max(1, top - 5), "layer": layer if ends else layer[1:]}


def points(values: Sequence[dict[str, Any]], items: Sequence[Item]) -> View:
    """Give the shapes of a key."""
    colours = [item.pen.colour for item in items]
    return {
        "data": {"values": list(values)},
        "mark": {"type": "point", "size": 60, "strokeWidth": 1.8, "opacity": 1},
        "encoding": {
            **pixels("middle", "y"),
            "shape": coded("n", [item.pen.shape for item in items]),
            "stroke": coded("n", colours),
            "fill": coded("n", [item.face or item.pen.colour for item in items]),
        },
    }


def pixels(x: str, y: str) -> View:
    """Place by fields that hold pixels."""
    return {
        "x": {"field": x, "type": "quantitative", "scale": None, "axis": None},
        "y": {"field": y, "type": "quantitative", "scale": None, "axis": None},
    }


def coded(name: str, values: Sequence[Any]) -> View:
    """Draw the numbers from 0 on as these values."""
    return {
        "field": name,
        "type": "nominal",
        "scale": {"domain": list(range(len(values))), "range": list(values)},
        "legend": None,
    }


def footer(frame: Frame, notes: Sequence[str], cited: Sequence[str]) -> View:
    """Give the lines below a chart; an unseen line holds the picture at its width."""
    lines = [line for text in (*notes, *cited) for line in wrapped(text, frame.inner, SMALL)]
    return {
        "width": frame.plot,
        "height": len(lines) * high(SMALL),
        "layer": [
            {
                "data": {"values": [{"x": -frame.axis + 1, "x2": frame.plot - 1}]},
                "mark": {"type": "rule", "stroke": frame.colours.grid, "y": -6},
                "encoding": {
                    "x": {"field": "x", "type": "quantitative", "scale": None, "axis": None},
                    "x2": {"field": "x2"},
                },
            },
            text(lines, -frame.axis, 2, SMALL, frame.colours.muted),
        ],
    }


def text(lines: Sequence[str], x: float, y: float, size: int, colour: str) -> View:
    """Give lines of text at a place in pixels."""
    return {
        "data": {"values": [{"words": list(lines)}]},
        "mark": {
            **{"type": "text", "align": "left", "baseline": "top", "x": x, "y": y, "fontSize": size},
            **{"lineHeight": high(size), "color": colour},
        },
        "encoding": {"text": {"field": "words"}},
    }


def message(frame: Frame, words: str) -> View:
    """Give a panel that says why there is nothing to see."""
    lines = wrapped(words, frame.inner)
    return {
        "width": frame.plot,
        "height": len(lines) * high(TEXT),
        **text(lines, -frame.axis, 0, TEXT, frame.colours.text),
    }


def heading(frame: Frame, words: str, width: float) -> View:
    """Give the title of a panel."""
    return {
        "text": wrapped(words, width / BOLD, TEXT),
        "fontSize": TEXT,
        "lineHeight": high(TEXT),
        "dx": -frame.axis,
        "frame": "group",
        "offset": 10,
    }


def ticks(largest: float, count: int = 5) -> list[float]:
    """Give round numbers from 0 to no less than the largest."""
    if largest <= 0:
        return [0.0, 1.0]
    rough = largest / count
    size = 10.0 ** floor(log10(rough))
    step = next(size * one for one in (1, 2, 2.5, 5, 10) if size * one >= rough * 0.999999)
    return [round(step * n, 12) for n in range(ceil(largest / step - 1e-9) + 1)]


def value_axis(marks: Sequence[float]) -> View:
    """Give the axis of values at these numbers."""
    return {
        **{"values": list(marks), "format": ",~f", "domain": False, "ticks": False, "grid": True, "titleFontSize": 0},
        **{"minExtent": 0, "labelPadding": 8},
    }


def time_axis(first: int, last: int, width: float, *, has_months: bool = False) -> tuple[View, View]:
    """Give scale and axis of whole years: each is named in its middle, as often as there is room; so are months."""
    scale = {"type": "utc", "domain": [f"{first}-01-01", f"{last + 1}-01-01"], "nice": False}
    plain = {"grid": False, "ticks": False, "labelOverlap": False}
    count = last - first + 1
    if has_months and width / count / 12 >= length("Mmm", SMALL) + 4:
        days = [date(year, month, 16).isoformat() for year in range(first, last + 1) for month in range(1, 13)]
        return scale, {"values": days, "labelExpr": MONTHS, **plain}
    every = ceil(count / max(1, floor(width / (length("0000", SMALL) + 14))))
    middles = [date(year, 7, 2).isoformat() for year in range(first, last + 1) if (last - year) % every == 0]
    return scale, {"values": middles, "format": "%Y", **plain}
