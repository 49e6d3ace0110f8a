"""Lines over time: a point a statement, a line a series, names of values where there is room."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from app.charts.frame import Frame, Item, View, coded, ticks, time_axis, value_axis
from app.charts.look import SMALL, Pen, length, pens
from app.charts.rows import Statement, Unit
from app.codes import Frequency

Series = Mapping[tuple[str, ...], Sequence[Statement]]
ROOM = 56
"""Pixels at the right of a panel for the values of last points."""


@dataclass(frozen=True)
class Panel:
    """A panel of series: which pen draws which, up to which value, over which years, how large."""

    frame: Frame
    unit: Unit
    largest: float
    years: tuple[int, int]
    width: int
    height: int
    has_months: bool
    densest: int  # points of the series that has most

    @classmethod
    def of(cls, frame: Frame, unit: Unit, series: Series, width: int, height: int) -> "Panel":
        """Give a panel that has room for these series; several may share its scales."""
        years = sorted(day.year for each in series.values() for one in each if one.span for day in one.span)
        has_months = any(one.row["frequency"] == Frequency.MONTHLY for each in series.values() for one in each)
        most = max(map(len, series.values()))
        return cls(frame, unit, largest_of(series), (years[0], years[-1]), width, height, has_months, most)

    @property
    def point(self) -> int:
        """How large points are, in square pixels: small where they stand close."""
        room = self.plot / self.densest
        return 60 if room >= 18 else 26 if room >= 9 else 9

    @property
    def plot(self) -> int:
        """Pixels between the axis and where values are named beside the last points."""
        return self.width - ROOM

    @property
    def days(self) -> tuple[date, date]:
        """First day, and the day after the last."""
        return date(self.years[0], 1, 1), date(self.years[1] + 1, 1, 1)


def by_series(statements: Sequence[Statement]) -> dict[tuple[str, ...], list[Statement]]:
    """Put the statements that a line may join together, each in the order of time; those without a period are none."""
    found: dict[tuple[str, ...], list[Statement]] = {}
    for one in statements:
        if one.middle:
            found.setdefault(one.series, []).append(one)
    return {name: sorted(each, key=lambda one: str(one.middle)) for name, each in sorted(found.items())}


def largest_of(series: Series) -> float:
    """Give the largest value."""
    return max((one.usd for each in series.values() for one in each), default=0)


def drawn(panel: Panel, series: Series, of: Mapping[tuple[str, ...], int], drawn_by: Sequence[Pen]) -> View:
    """Give a panel of lines; `of` tells which pen draws which series."""
    marks = ticks(panel.largest / panel.unit.size)
    scale, axis = time_axis(*panel.years, panel.plot, has_months=panel.has_months)
    data = [
        datum(one, number, of[name], panel.unit) | {"of_series": len(each)}
        for number, (name, each) in enumerate(series.items())
        for one in each
    ]
    x = {"field": "middle", "type": "temporal", "scale": scale | {"range": [0, panel.plot]}, "axis": axis}
    y = {"field": "value", "type": "quantitative", "scale": {"domain": [0, marks[-1]]}, "axis": value_axis(marks)}
    colours = [pen.colour for pen in drawn_by]
    line = {
        "transform": [{"filter": "datum.of_series > 1"}],
        "mark": {"type": "line", "strokeWidth": 2, "strokeJoin": "round"},
        "encoding": {
            **{"x": x, "y": y, "detail": {"field": "series", "type": "nominal"}},
            "strokeDash": coded("pen", [pen.dash for pen in drawn_by]),
            "color": coded("pen", colours),
        },
    }
    hollow = {"test": "datum.reservations !== ''", "value": panel.frame.colours.background}
    point: View = {
        "mark": {"type": "point", "size": panel.point, "strokeWidth": 1.8, "opacity": 1},
        "encoding": {
            **{"x": x, "y": y, "shape": coded("pen", [pen.shape for pen in drawn_by])},
            "stroke": coded("pen", colours),
            "fill": coded("pen", colours) | {"condition": hollow},
            "tooltip": [{"field": name, "type": "nominal"} for name in ("says", "period", "value", "reservations")],
        },
    }
    return {
        "width": panel.width,
        "height": panel.height,
        "data": {"values": data},
        "layer": [line, point, words_at(names(panel, series, marks[-1]), x, y)],
    }


def datum(one: Statement, series: int, pen: int, unit: Unit) -> dict[str, Any]:
    """Give a statement as a specification has it."""
    return {
        "middle": str(one.middle),
        "period": one.row["period"],
        "value": one.usd / unit.size,
        "value_usd": one.usd,
        "series": series,
        "pen": pen,
        "says": one.voice,
        "reservations": ", ".join(one.reservations),
    }


def names(panel: Panel, series: Series, top: float) -> list[dict[str, Any]]:
    """Give the values of last points, each beside its point where it meets nothing; what has no room is not named."""
    places = [[pixels_of(panel, one, top) for one in each] for each in series.values()]
    taken = [box for each in places for box in along(each)]
    named = [((panel.unit.said(each[-1].usd),), at[-1]) for each, at in zip(series.values(), places, strict=True)]
    return placed(panel, sorted(named, key=lambda one: one[1][1]), taken, top)


Box = tuple[float, float, float, float]
"""Left, right, top and bottom in pixels."""
Place = tuple[float, float]
"""From the left and from the top, in pixels."""


def placed(
    panel: Panel, named: Sequence[tuple[Sequence[str], Place]], taken: list[Box], top: float
) -> list[dict[str, Any]]:
    """Give words beside their points where they meet nothing; the first of several that has room."""
    values: list[dict[str, Any]] = []
    done = set()
    for choices, place in named:
        for words in choices:
            box = free_beside(place, length(words, SMALL), taken, panel)
            if box is None or (words, place[0]) in done:
                continue
            done.add((words, place[0]))
            taken.append(box)
            value = top * (1 - (box[2] + box[3]) / 2 / panel.height)
            values.append({"at": moment(panel, box[0]), "words": words, "value": value})
            break
    return values


def words_at(values: Sequence[dict[str, Any]], x: View, y: View) -> View:
    """Give words at their places."""
    return {
        "data": {"values": list(values)},
        "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": SMALL},
        "encoding": {"x": {**x, "field": "at"}, "y": y, "text": {"field": "words", "type": "nominal"}},
    }


def pixels_of(panel: Panel, one: Statement, top: float) -> Place:
    """Give the place of a point in its panel."""
    first, last = panel.days
    x = panel.plot * ((one.middle or first) - first).days / (last - first).days
    return x, panel.height * (1 - one.usd / panel.unit.size / top)


def moment(panel: Panel, x: float) -> str:
    """Give the moment that stands at a place."""
    first, last = panel.days
    start = datetime(first.year, 1, 1) + timedelta(days=(last - first).days * x / panel.plot)
    return f"{start:%Y-%m-%dT%H:%M:%SZ}"


def along(places: Sequence[Place]) -> Iterator[Box]:
    """Give boxes over the points and the lines between them."""
    for x, y in places:
        yield x - 5, x + 5, y - 5, y + 5
    for (x, y), (next_x, next_y) in pairwise(places):
        steps = max(1, int(max(abs(next_x - x), abs(next_y - y)) // 5))
        for n in range(steps):
            at_x, at_y = x + (next_x - x) * n / steps, y + (next_y - y) * n / steps
            yield at_x - 1, at_x + 1, at_y - 1, at_y + 1


def free_beside(place: Place, wide: float, taken: Sequence[Box], panel: Panel) -> Box | None:
    """Give a box beside a point that meets nothing: at its right, a little higher or lower, else above or below."""
    x, y = place
    half = SMALL / 2 + 1
    spots = [(x + 8, y + moved) for moved in (0, -6, 6, -10, 10)]
    spots += [(x - wide / 2, y - 13), (x - wide / 2, y + 13), (x - wide - 8, y)]
    for left, middle in spots:
        box = (left, left + wide, middle - half, middle + half)
        is_inside = left >= 0 and box[1] <= panel.width and box[2] >= -half and box[3] <= panel.height
        if is_inside and not any(meets(box, other) for other in taken):
            return box
    return None


def meets(one: Box, other: Box) -> bool:
    """Whether two boxes share a place."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def reserved(frame: Frame, statements: Sequence[Statement]) -> list[Item]:
    """Give the item of a key that says what a hollow shape means, where there is one."""
    words = sorted({word for one in statements for word in one.reservations})
    if not words:
        return []
    pen = pens(frame.theme, 1)[0]
    plain = Pen(frame.colours.muted, pen.shape, pen.dash)
    return [Item(f"hollow: {', or '.join(words)}", plain, is_line=False, face=frame.colours.background)]
