"""Statements of trade as charts need them: who speaks, of what, when, and how each is called in words."""

import calendar
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from app.charts.look import clean
from app.codes import TOTAL, Flow, Frequency, Method, ObsStatus
from app.periods import parse_period
from app.wording import FLOW_WORDS, capital, short

FREQUENCY_WORDS = {Frequency.ANNUAL: "annual", Frequency.QUARTERLY: "quarterly", Frequency.MONTHLY: "monthly"}
UNITS = ((10**9, "billion US dollars"), (10**6, "million US dollars"), (10**3, "thousand US dollars"))


@dataclass(frozen=True)
class Unit:
    """What values are told in."""

    size: int
    name: str

    @classmethod
    def of(cls, largest: float) -> "Unit":
        """Give the unit in which the largest value is one or more."""
        return next((cls(size, name) for size, name in UNITS if largest >= size), cls(1, "US dollars"))

    def said(self, usd: float) -> str:
        """Give a value in the unit: two decimals, and more of what is small."""
        value = usd / self.size
        return short(value) if value == 0 or value >= 0.1 else f"{value:.2g}"


def amount(usd: float) -> str:
    """Give a value with the unit that suits it."""
    unit = Unit.of(usd)
    return f"{unit.said(usd)} {unit.name}"


@dataclass(frozen=True)
class Source:
    """A source, as /v1/sources has it."""

    title: str
    publisher: str
    published_on: str | None
    is_article: bool
    short: str  # what it is called in a line, as no other

    @property
    def line(self) -> str:
        """The line that names it below a chart."""
        return f"Source: {self.publisher}, “{self.title}”, {self.published_on or 'no date stated'}"


Sources = Mapping[str, Source]


def sources_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Source]:
    """Give sources by their slugs: an article is called by its publisher, a dataset by its title, unless two are."""
    called = {row["slug"]: clean(row["publisher" if row["kind"] == "article" else "title"]) for row in rows}
    often = Counter(called.values())
    found = {}
    for row in rows:
        short = called[row["slug"]]
        if often[short] > 1:
            short = f"{short} ({row['slug']})"
        title, publisher = clean(row["title"]), clean(row["publisher"])
        found[row["slug"]] = Source(title, publisher, row["published_on"], row["kind"] == "article", short)
    return found


@dataclass(frozen=True)
class Statement:
    """A value of trade as one source, or who speaks in it, has it."""

    row: Mapping[str, Any]
    voice: str
    role: str = ""  # whose record it is, where charts compare the two sides

    @property
    def usd(self) -> int:
        """The value in US dollars."""
        return int(self.row["value_usd"])

    @cached_property
    def span(self) -> tuple[date, date] | None:
        """First and last day; nothing where no period is stated."""
        if not self.row["period"]:
            return None
        period = parse_period(self.row["period"])
        return period.start, period.end

    @property
    def middle(self) -> date | None:
        """The day on which it stands on a time axis."""
        return self.span and self.span[0] + (self.span[1] - self.span[0] + timedelta(days=1)) // 2

    @property
    def when(self) -> str:
        """Its period in words."""
        return period_words(self.row["period"])

    @property
    def reservations(self) -> list[str]:
        """What a reader must know of the value: that it is inferred, or of less than normal status."""
        status = ObsStatus(self.row.get("obs_status") or ObsStatus.NORMAL)
        found = ["inferred"] if self.row["method"] == Method.INFERRED else []
        return found if status == ObsStatus.NORMAL else [*found, status.label.lower()]

    @property
    def window(self) -> str:
        """What of a year its periods are: values of other windows are no series with it."""
        frequency, period = self.row["frequency"], self.row["period"]
        if frequency in FREQUENCY_WORDS:
            return FREQUENCY_WORDS[frequency]
        return months(period) if period else "no period stated"

    @property
    def series(self) -> tuple[str, ...]:
        """What no line may join two of: who speaks, of what, in which kind of period."""
        names = ("source", "stated_by", "reporter", "partner", "flow", "product", "classification", "breakdown")
        return (*(str(self.row.get(name) or "-") for name in names), self.window, self.role)


def statement(row: Mapping[str, Any], sources: Sources, role: str = "") -> Statement:
    """Make a statement of a row, with who speaks in words."""
    source = sources.get(row["source"])
    name = source.short if source else clean(row["source"])
    own = f"{name}, in its own voice" if source and source.is_article else name
    speaker = row["stated_by_name"] or row["stated_by"]
    return Statement(row, f"{clean(speaker)}, in {name}" if speaker else own, role)


def period_words(period: str | None) -> str:
    """Give a period in words."""
    if not period:
        return "no period stated"
    year, part = period[:4], period[5:]
    if not part or part.startswith("Q"):
        return f"{part} {year}".strip()
    return f"{months(period)} {year}"


def months(period: str) -> str:
    """Give the months of a period in words, without the year."""
    numbers = [int(one[5:7]) for one in period.split("/") if one[5:7].isdecimal()]
    return "–".join(calendar.month_abbr[number] for number in dict.fromkeys(numbers))


@dataclass(frozen=True)
class Wording:
    """How statements shown together are called: what they share in the title, what tells them apart at each."""

    shared: Mapping[str, Any]
    varied: frozenset[str]
    everywhere: tuple[str, ...] = ()  # countries that each statement has on one side, where no side is shared

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> "Wording":
        """Look what statements share."""
        shared, varied = {}, set()
        for name, read in READ.items():
            values = {read(one) for one in statements}
            if len(values) == 1:
                shared[name] = values.pop()
            else:
                varied.add(name)
        sides = [{READ["reporter"](one), READ["partner"](one)} for one in statements]
        everywhere = sorted(set.intersection(*sides)) if {"reporter", "partner"} <= varied else []
        return cls(shared, frozenset(varied), tuple(everywhere))

    @property
    def title(self) -> str:
        """What all of it is about."""
        word, joint = FLOW_WORDS[Flow(self.shared["flow"])] if "flow" in self.shared else ("trade", "with")
        own = f" of {self.shared['reporter']}" if "reporter" in self.shared else ""
        other = f" {joint} {self.shared['partner']}" if "partner" in self.shared else ""
        product = self.shared.get("product", "")
        told = "" if product.startswith("all products") else product
        own = f" {'between' if len(self.everywhere) > 1 else 'of'} " if self.everywhere else own
        own += " and ".join(self.everywhere)
        return capital(f"{word}{own}{other}{f': {told}' if told else ''}")

    def told_apart(self, one: Statement, *, with_voice: bool) -> str:
        """Give what tells a series from the others."""
        sides = self.varied & {"reporter", "partner"}
        parts = []
        if "flow" in self.varied or sides:
            parts.append(self._sides(one, sides))
        parts += [READ[name](one) for name in ("product", "breakdown", "window") if name in self.varied]
        parts += [one.role] if one.role and "role" in self.varied else []
        what = ", ".join(part for part in parts if part)
        voice = one.voice if with_voice and ("voice" in self.varied or not what) else ""
        return capital(": ".join(part for part in (what, voice) if part))

    def _sides(self, one: Statement, sides: frozenset[str]) -> str:
        """Give flow and sides as far as they differ."""
        if "flow" not in self.varied and len(sides) == 1:
            return str(READ[next(iter(sides))](one))
        word, joint = FLOW_WORDS[Flow(one.row["flow"])]
        own = f" of {READ['reporter'](one)}" if "reporter" in sides else ""
        other = f" {joint} {READ['partner'](one)}" if "partner" in sides else ""
        return f"{word}{own}{other}"


def labels(wording: Wording, firsts: Sequence[Statement], *, with_voice: bool) -> list[str]:
    """Give what tells each series from the others, by a statement of each; of those named alike what else differs."""
    found = [wording.told_apart(one, with_voice=with_voice) for one in firsts]
    for name in ("classification", "stated_by"):
        found = [
            f"{words}, {name} {one.row.get(name) or 'not stated'}" if found.count(words) > 1 else words
            for words, one in zip(found, firsts, strict=True)
        ]
    return found


def named(side: str, one: Statement) -> str:
    """Give what a side is called."""
    return clean(one.row.get(f"{side}_name") or one.row[side])


def product_of(one: Statement) -> str:
    """Give what a product is called."""
    code, edition = one.row["product"], one.row.get("classification")
    if code == TOTAL:
        return "all services" if (edition or "").startswith("E") else "all products"
    name = one.row.get("product_name")
    return clean(f"{code} {name}" if name else f"{code} of {edition or 'no stated classification'}")


READ: Mapping[str, Callable[[Statement], str]] = {
    "reporter": lambda one: named("reporter", one),
    "partner": lambda one: named("partner", one),
    "flow": lambda one: one.row["flow"],
    "product": product_of,
    "breakdown": lambda one: f"part {clean(one.row['breakdown'])}" if one.row.get("breakdown") else "",
    "window": lambda one: one.window,
    "role": lambda one: one.role,
    "voice": lambda one: one.voice,
}
"""What may tell statements apart, in words."""


def whole_words(one: Statement) -> str:
    """Give a statement's trade in full: flow, both sides, product, part, period."""
    word, joint = FLOW_WORDS[Flow(one.row["flow"])]
    said = f"{word} of {named('reporter', one)} {joint} {named('partner', one)}"
    product = "" if one.row["product"] == TOTAL else f", {product_of(one)}"
    part = READ["breakdown"](one)
    return capital(f"{said}{product}{f', {part}' if part else ''}, {one.when}")


def years_of(statements: Sequence[Statement]) -> str:
    """Give the years that statements are of."""
    years = sorted({day.year for one in statements if one.span for day in one.span})
    if not years:
        return "no period stated"
    return str(years[0]) if years[0] == years[-1] else f"{years[0]}–{years[-1]}"
