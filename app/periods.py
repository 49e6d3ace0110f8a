"""Periods of statistics: what `2024`, `2024-Q1`, `2024-03` and `2025-01/2025-04` mean in days."""

import calendar
import re
from dataclasses import dataclass
from datetime import date

from app.codes import Frequency

ACCEPTED = "YYYY, YYYY-Qn, YYYY-MM, or YYYY-01/YYYY-MM for January to a later month of one year"
SHAPE = re.compile(r"(?P<year>(?:19|20)\d\d)(?:-Q(?P<quarter>[1-4])|-(?P<month>0[1-9]|1[0-2]))?", re.ASCII)


@dataclass(frozen=True)
class Period:
    """A calendar year or a part of it; `code` is its one spelling."""

    code: str
    frequency: Frequency
    start: date
    end: date  # inclusive

    @property
    def year(self) -> int:
        """The calendar year that the period lies in."""
        return self.start.year


def parse_period(text: str) -> Period:
    """Read a period; several spellings of one period give one code. Raises ValueError."""
    first, slash, last = text.partition("/")
    one = SHAPE.fullmatch(first)
    if one is None:
        raise ValueError(f"{text!r} is not a period: {ACCEPTED}")
    year = int(one["year"])
    if not slash:
        if one["quarter"]:
            return months(year, int(one["quarter"]) * 3 - 2, int(one["quarter"]) * 3)
        return months(year, int(one["month"] or 1), int(one["month"] or 12))
    other = SHAPE.fullmatch(last)
    if other is None or other["month"] is None or one["month"] is None or int(other["year"]) != year:
        raise ValueError(f"{text!r} is not a period: {ACCEPTED}")
    return months(year, int(one["month"]), int(other["month"]))


def months(year: int, first: int, last: int) -> Period:
    """Give the period from one month to another of a year. Raises ValueError where no frequency fits."""
    start, end = date(year, first, 1), date(year, last, calendar.monthrange(year, last)[1])
    if (first, last) == (1, 12):
        return Period(f"{year}", Frequency.ANNUAL, start, end)
    if first == last:
        return Period(f"{year}-{first:02}", Frequency.MONTHLY, start, end)
    if last - first == 2 and last % 3 == 0:
        return Period(f"{year}-Q{last // 3}", Frequency.QUARTERLY, start, end)
    if first == 1:
        return Period(f"{year}-01/{year}-{last:02}", Frequency.YEAR_TO_DATE, start, end)
    raise ValueError(f"{year}-{first:02}/{year}-{last:02} is no year, quarter, month or year to date: {ACCEPTED}")
