"""The chart of a comparison: every statement of one trade by year, and below them the gap over time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.charts import lines
from app.charts.frame import Frame, Picture, View, coded, heading, message, ticks, time_axis, value_axis
from app.charts.given import Given, no_rows, too_many
from app.charts.look import SHAPES, clean, pens
from app.charts.rows import (
    Statement,
    Unit,
    Wording,
    amount,
    statement,
    whole_words,
    years_of,
)
from app.charts.trade import SERIES_MOST, figures, height_of, left_out, no_time, series_key, sources_of
from app.codes import TOTAL, Flow
from app.wording import FLOW_WORDS, capital

GAP_HEIGHT = 130


def compare(given: Given) -> Picture:
    """Give the picture of a comparison. Raises OverLimit where there are more series than one picture shows."""
    rows, params = given.rows("trades"), given.params
    if not rows:
        return no_rows(given, "Trade compared", "trades")
    statements = [of_side(row, one, given) for row in rows for one in row["statements"]]
    pair = [clean(given.country(code)) for code in (params.reporter, params.partner)]
    dated = [one for one in statements if one.middle]
    title = f"Trade of {pair[0]} with {pair[1]}, as each side and source states it, {years_of(dated)}"
    sources = sources_of(statements)
    notes = left_out(len(statements) - len(dated))
    if not dated:
        return no_time(given, title, statements, notes)
    series = lines.by_series(dated)
    if len(series) > SERIES_MOST:
        raise too_many(f"{len(series)} series", SERIES_MOST, "lines of one chart")
    frame = Frame(params.theme, params.width)
    unit, drawn_by = Unit.of(lines.largest_of(series)), pens(params.theme, len(series))
    of = {name: n for n, name in enumerate(series)}
    panel = lines.Panel.of(frame, unit, series, frame.plot, height_of(params.width))
    key = series_key(series, Wording.of(dated), drawn_by)
    gaps = [row for row in rows if row["gap"] and row["period"]]
    subtitle = f"{capital(unit.name)}; statements of one trade are never added"
    return Picture(
        title,
        subtitle,
        [lines.drawn(panel, series, of, drawn_by), gap_panel(panel, gaps)],
        [*figures(statements), *map(gap_words, gaps)],
        [*key, *lines.reserved(frame, dated)],
        notes,
        sources=sources,
    )


def of_side(row: Mapping[str, Any], one: Mapping[str, Any], given: Given) -> Statement:
    """Make a statement; one that is reconciled is told from the record of its reporter."""
    known = {row[side]: row[f"{side}_name"] for side in ("reporter", "partner")}
    role = "reconciled from both sides" if one["side"] == "reconciled" else ""
    cell = {field: row[field] for field in ("product", "frequency", "period", "year")}
    sides = {f"{side}_name": known.get(one[side]) for side in ("reporter", "partner")}
    return statement({**one, **cell, **sides, "breakdown": None}, given.sources, role)


def gap_words(row: Mapping[str, Any]) -> str:
    """Give a gap in words."""
    gap = row["gap"]
    could = "could" if gap["valuation_could_explain"] else "could not"
    return (
        f"{gap_name(row)}: the gap is {amount(gap['usd'])}, {gap['percent']:.1f} % of the larger; "
        f"freight and insurance {could} be all of it."
    )


def gap_name(row: Mapping[str, Any]) -> str:
    """Give the trade that a gap is of."""
    return whole_words(Statement(row, ""))


def gap_panel(above: lines.Panel, rows: Sequence[Mapping[str, Any]]) -> View:
    """Give the gap between the largest and the smallest statement of each trade over time."""
    frame = above.frame
    if not rows:
        return message(frame, "No gap is shown: no trade of one period has two statements.")
    unit = Unit.of(max(row["gap"]["usd"] for row in rows))
    panel = replace(above, unit=unit, height=GAP_HEIGHT)
    kinds = list(dict.fromkeys(map(kind_of, rows)))
    marks = ticks(max(row["gap"]["usd"] for row in rows) / unit.size, 3)
    scale, axis = time_axis(*panel.years, panel.plot, has_months=panel.has_months)
    x = {"field": "at", "type": "temporal", "scale": scale | {"range": [0, panel.plot]}, "axis": axis}
    y = {"field": "value", "type": "quantitative", "scale": {"domain": [0, marks[-1]]}, "axis": value_axis(marks)}
    shapes = [SHAPES[n % len(SHAPES)] for n in range(len(kinds))]
    told = [f"{kind} ({shape.replace('-', ' ')})" for kind, shape in zip(kinds, shapes, strict=True)]
    what = "; ".join(told if len(kinds) > 1 else kinds)
    title = f"Gap between the largest and the smallest statement, {unit.name}: {what}"
    data, names = gap_data(panel, rows, kinds, marks[-1])
    return {
        "width": panel.width,
        "height": GAP_HEIGHT,
        "title": heading(frame, title, frame.inner),
        "data": {"values": data},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2, "color": frame.colours.muted},
                "encoding": {"x": x, "y": {**y, "field": "zero"}, "y2": {"field": "value"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": frame.colours.text},
                "encoding": {"x": x, "y": y, "shape": coded("kind", shapes)},
            },
            lines.words_at(names, x, y),
        ],
    }


def gap_data(
    panel: lines.Panel, rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], top: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give gaps as a specification has them, those of one period side by side, and their values where there is room."""
    aside = min(11.0, panel.plot / (panel.years[1] - panel.years[0] + 1) / (len(kinds) + 1))
    data, named = [], []
    for row in rows:
        kind, gap = kinds.index(kind_of(row)), row["gap"]
        one = Statement({**row, "value_usd": gap["usd"]}, "")
        x, y = lines.pixels_of(panel, one, top)
        x += (kind - (len(kinds) - 1) / 2) * aside
        said = panel.unit.said(gap["usd"])
        named.append(((f"{said} ({gap['percent']:.0f} %)", said), (x, y)))
        data.append(
            {
                **{"at": lines.moment(panel, x), "period": row["period"], "kind": kind, "zero": 0},
                **{"value": gap["usd"] / panel.unit.size, "gap_usd": gap["usd"], "percent": gap["percent"]},
            }
        )
    taken = [box for _, (x, y) in named for box in ((x - 5, x + 5, y - 5, y + 5), (x - 2, x + 2, y, panel.height))]
    return data, lines.placed(panel, named, taken, top)


def kind_of(row: Mapping[str, Any]) -> str:
    """Give what gaps are of that may be seen as one thing over time."""
    one = Statement(row, "")
    product = "" if row["product"] == TOTAL else f"{row['product']} of {row['classification'] or 'no classification'}"
    return ", ".join(part for part in (FLOW_WORDS[Flow(row["flow"])][0], product, one.window) if part)
