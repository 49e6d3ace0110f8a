"""Bars: one a statement, lying, each with its words above it and its value at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.charts.frame import Frame, Item, View
from app.charts.look import SMALL, TEXT, Pen, high, length, mixed, wrapped
from app.charts.rows import Statement, Unit, whole_words

THICK, BETWEEN = 12, 16
"""Pixels of a bar, and from it to the words of the next."""
LIGHT = 0.35
"""How much of its colour the face of a bar has that is inferred; its edge has all."""


def bars(
    frame: Frame, statements: Sequence[Statement], unit: Unit, colours: Mapping[str, str]
) -> tuple[View, list[Item]]:
    """Give the panel of statements, and the item of its key that says what a lighter bar is."""
    rows = [
        {
            "title": whole_words(one),
            "says": ", ".join((one.voice, *one.reservations)),
            "value": one.usd / unit.size,
            "value_usd": one.usd,
            "period": one.row["period"],
            "words": unit.said(one.usd),
            "colour": colours[one.voice],
            "is_light": bool(one.reservations),
        }
        for one in statements
    ]
    words = sorted({word for one in statements for word in one.reservations})
    plain = Pen(frame.colours.muted, "square", [1, 0])
    face = mixed(plain.colour, frame.colours.background, LIGHT)
    key = [Item(f"lighter: {', or '.join(words)}", plain, is_line=False, face=face)] if words else []
    return lying(frame, rows), key


def lying(frame: Frame, rows: Sequence[Mapping[str, Any]]) -> View:
    """Give lying bars of rows of title, says, value (null is none), words, colour and is_light."""
    data, height = laid_out(frame, rows)
    room = frame.inner - max(length(row["words"], TEXT) for row in rows) - 16
    most = max((row["value"] or 0 for row in rows), default=0) or 1
    x = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, most], "range": [2, room]},
        "axis": None,
        "stack": None,
    }
    y = {"type": "quantitative", "scale": None, "axis": None}
    colour = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    bar = {
        "transform": [{"filter": "datum.value > 0"}],
        "mark": {"type": "bar", "strokeWidth": 1, "cornerRadiusEnd": 2},
        "encoding": {
            **{
                "x": x,
                "x2": {"datum": 0},
                "y": {**y, "field": "bar_top"},
                "y2": {"field": "bar_end"},
                "fill": colour,
                "stroke": colour,
            },
            "fillOpacity": {"condition": {"test": "datum.is_light", "value": LIGHT}, "value": 1},
            "tooltip": [{"field": name, "type": "nominal"} for name in ("title", "says", "words")],
        },
    }
    value = {
        "mark": {"type": "text", "align": "left", "baseline": "middle", "dx": 7, "fontWeight": 600},
        "encoding": {"x": x, "y": {**y, "field": "middle"}, "text": {"field": "words", "type": "nominal"}},
    }
    return {
        "width": frame.inner,
        "height": height,
        "data": {"values": data},
        "layer": [
            bar,
            value,
            lines_at("top", "title_lines", TEXT, frame.colours.text),
            lines_at("says_top", "says_lines", SMALL, frame.colours.muted),
        ],
    }


def laid_out(frame: Frame, rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Give rows with the places of their words and bars in pixels from the top, and the height of all."""
    titles = [wrapped(row["title"], frame.inner) for row in rows]
    says = [wrapped(row["says"], frame.inner, SMALL) if row["says"] else [] for row in rows]
    data: list[dict[str, Any]] = []
    top = 0
    for n, (row, title, said) in enumerate(zip(rows, titles, says, strict=True)):
        below = top + len(title) * high(TEXT) + len(said) * high(SMALL) + 4
        places = {"top": top, "says_top": top + len(title) * high(TEXT), "bar_top": below, "bar_end": below + THICK}
        data.append({**row, **places, "n": n, "title_lines": title, "says_lines": said, "middle": below + THICK / 2})
        top = below + THICK + BETWEEN
    return data, max(1, top - BETWEEN)


def lines_at(place: str, words: str, size: int, colour: str) -> View:
    """Give lines of text at the left, from a height in pixels on."""
    return {
        "mark": {
            **{"type": "text", "align": "left", "baseline": "top", "x": 0, "fontSize": size, "color": colour},
            "lineHeight": high(size),
        },
        "encoding": {
            "y": {"field": place, "type": "quantitative", "scale": None, "axis": None},
            "text": {"field": words},
        },
    }
