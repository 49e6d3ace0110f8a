"""The chart of trade flows: lines over time, a bar a statement, or a panel for each who speaks."""

from collections.abc import Sequence
from typing import Any

from app.charts import lines
from app.charts.bars import bars
from app.charts.frame import AXIS, Frame, Item, Picture, View, heading, message
from app.charts.given import Given, no_rows, too_many
from app.charts.look import Pen, pens
from app.charts.params import Kind
from app.charts.rows import (
    Statement,
    Unit,
    Wording,
    amount,
    labels,
    period_words,
    statement,
    whole_words,
    years_of,
)
from app.wording import capital

SERIES_MOST = 16
BARS_MOST = 60
TOLD_MOST = 40
"""Statements that the text alternative tells one by one."""
GAP = 14


def trade(given: Given) -> Picture:
    """Give the picture of trade flows. Raises OverLimit where they are more than one picture shows."""
    rows, params = given.rows("flows"), given.params
    statements = [statement(row, given.sources) for row in rows]
    if not statements:
        return no_rows(given, "Trade flows", "flows")
    if params.kind == Kind.BARS:
        return of_bars(given, statements)
    dated = [one for one in statements if one.middle]
    notes = left_out(len(statements) - len(dated), "; kind=bars shows")
    wording = Wording.of(dated or statements)
    title = f"{wording.title}, {years_of(dated)}"
    sources = sources_of(statements)
    if not dated:
        return no_time(given, title, statements, notes)
    series = lines.by_series(dated)
    unit = Unit.of(lines.largest_of(series))
    subtitle = capital(unit.name)
    if params.kind == Kind.MULTIPLES:
        panels, key = multiples(given, series, unit)
    else:
        subtitle += f", as stated by {wording.shared['voice']}" if "voice" in wording.shared else ""
        panels, key = single(given, series, unit, wording)
    return Picture(title, subtitle, panels, figures(statements), key, notes, sources=sources)


def no_time(given: Given, title: str, statements: Sequence[Statement], notes: Sequence[str]) -> Picture:
    """Give a picture that says that no statement has a place over time."""
    panel = message(Frame(given.params.theme, given.params.width), "No statement has a period.")
    return Picture(title, "", [panel], figures(statements), notes=notes, sources=sources_of(statements))


def sources_of(statements: Sequence[Statement]) -> list[str]:
    """Give the slugs of the sources of statements."""
    return sorted({one.row["source"] for one in statements})


def left_out(count: int, where: str = "") -> list[str]:
    """Say how many statements have no place on an axis of time, and where they are shown."""
    if not count:
        return []
    many = "1 statement has" if count == 1 else f"{count} statements have"
    it = "it" if count == 1 else "them"
    return [f"{many} no period and no place over time{f'{where} {it}' if where else ''}"]


def figures(statements: Sequence[Statement]) -> list[str]:
    """Give statements in words, and how many more there are than are told."""
    told = []
    for one in statements[:TOLD_MOST]:
        marks = "".join(f", {word}" for word in one.reservations)
        told.append(f"{whole_words(one)}: {amount(one.usd)} ({one.voice}{marks}).")
    more = len(statements) - len(told)
    return [*told, f"And {more} more, in the rows."] if more else told


def single(given: Given, series: lines.Series, unit: Unit, wording: Wording) -> tuple[list[View], list[Item]]:
    """Give one panel of all series, and its key."""
    params = given.params
    if len(series) > SERIES_MOST:
        raise too_many(f"{len(series)} series", SERIES_MOST, "lines of one chart")
    frame = Frame(params.theme, params.width)
    drawn_by = pens(params.theme, len(series))
    panel = lines.Panel.of(frame, unit, series, frame.plot, height_of(params.width))
    of = {name: n for n, name in enumerate(series)}
    key = series_key(series, wording, drawn_by)
    every = [one for each in series.values() for one in each]
    return [lines.drawn(panel, series, of, drawn_by)], [*key, *lines.reserved(frame, every)]


def series_key(series: lines.Series, wording: Wording, drawn_by: Sequence[Pen]) -> list[Item]:
    """Give the key of series, each drawn by a pen of its own."""
    named = labels(wording, [each[0] for each in series.values()], with_voice=True)
    drawn = zip(named, drawn_by, series.values(), strict=True)
    return [Item(words, pen, is_line=len(each) > 1) for words, pen, each in drawn]


def height_of(width: int) -> int:
    """Give the height of a panel that has the whole width."""
    return max(200, min(360, round(width * 0.36)))


def multiples(given: Given, series: lines.Series, unit: Unit) -> tuple[list[View], list[Item]]:
    """Give a panel for each who speaks, one scale for all, and the key of what they speak of."""
    params = given.params
    frame = Frame(params.theme, params.width)
    whats = list(dict.fromkeys(name[2:] for name in series))
    voices: dict[tuple[str, ...], dict[tuple[str, ...], Sequence[Statement]]] = {}
    for name, each in series.items():
        voices.setdefault(name[:2], {})[name] = each
    if len(voices) > SERIES_MOST:
        raise too_many(f"{len(voices)} speakers", SERIES_MOST, "panels of one chart")
    if len(whats) > SERIES_MOST:
        raise too_many(f"{len(whats)} series", SERIES_MOST, "lines of one panel")
    columns = max(1, min(len(voices), 3, frame.inner // 290))
    width = (frame.inner - (columns - 1) * GAP) // columns - AXIS
    drawn_by = pens(params.theme, len(whats))
    panel = lines.Panel.of(frame, unit, series, width, max(150, min(220, width * 2 // 3)))
    of = {name: whats.index(name[2:]) for name in series}
    found: list[View] = [
        {
            **lines.drawn(panel, each, of, drawn_by),
            "title": heading(frame, next(iter(each.values()))[0].voice, width + AXIS),
        }
        for each in voices.values()
    ]
    rows = [found[start : start + columns] for start in range(0, len(found), columns)]
    every = [one for each in series.values() for one in each]
    wording = Wording.of(every)
    first = {name[2:]: each[0] for name, each in reversed(list(series.items()))}
    named = labels(wording, [first[what] for what in whats], with_voice=False)
    key = [Item(words, pen) for words, pen in zip(named, drawn_by, strict=True)]
    return [{"hconcat": row, "spacing": GAP} for row in rows], [
        *(key if len(whats) > 1 else []),
        *lines.reserved(frame, every),
    ]


def spoken_by(series: lines.Series) -> str:
    """Give who speaks in series of one voice."""
    return next(iter(series.values()))[0].voice


def of_bars(given: Given, statements: Sequence[Statement]) -> Picture:
    """Give a bar for each statement, by frequency and period, the largest first."""
    params = given.params
    if len(statements) > BARS_MOST:
        raise too_many(f"{len(statements)} statements", BARS_MOST, "bars of one chart")
    ordered = sorted(statements, key=order)
    unit = Unit.of(max(one.usd for one in statements))
    wording = Wording.of(statements)
    title = f"{wording.title}, {years_of(statements)}"
    voices = list(dict.fromkeys(one.voice for one in sorted(statements, key=lambda one: one.series)))
    by_voice = pens(params.theme, len(voices))
    frame = Frame(params.theme, params.width, axis=0)
    panel, key = bars(frame, ordered, unit, {voice: by_voice[n].colour for n, voice in enumerate(voices)})
    subtitle = f"{capital(unit.name)}; each bar is one statement, and bars are not added"
    sources = sources_of(statements)
    return Picture(title, subtitle, [panel], figures(ordered), key, axis=0, sources=sources)


def order(one: Statement) -> tuple[Any, ...]:
    """Give the place of a bar: whole years first, then parts of years, then what has no period."""
    length = (one.span[1] - one.span[0]).days if one.span else 0
    return (not one.span, -(length // 300), str(one.span), -one.usd, one.series, period_words(one.row["period"]))
