"""How figures, periods and codes are put into words on a page."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

from app import codes
from app.wording import FLOW_WORDS, capital, short

STEPS = ((10**12, "tn"), (10**9, "bn"), (10**6, "m"))
"""Short scale: trillion, billion, million."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
QUARTERS = {"1": "first", "2": "second", "3": "third", "4": "fourth"}


def number(value: float | int | None) -> str:
    """Give a number with commas: 43,820,000,000."""
    return "not stated" if value is None else f"{value:,}"


def dollars(value: int | None) -> str:
    """Give US dollars in short: $43.82 bn, as many digits as it has up to four."""
    if value is None:
        return "not stated"
    for step, name in STEPS:
        if abs(value) >= step:
            return f"{'−' if value < 0 else ''}${short(abs(value) / step)} {name}"
    return f"{'−' if value < 0 else ''}${abs(value):,}"


def amount(value: float | int | None, unit: str | None) -> str:
    """Give a value with its unit: dollars in short, shares in percent, all else with the unit behind it."""
    if value is None:
        return "not stated"
    if unit == "USD":
        return dollars(int(value))
    return f"{value:,.15g} %" if unit == "percent" else f"{value:,} {spaced(unit or '')}".strip()


def period(value: str | None) -> str:
    """Give a period in words: January to April 2025."""
    if value in (None, "-"):
        return "period not stated"
    if value.startswith("--"):
        return f"{period(value.replace('--', '0000-')).replace(' 0000', '')} of a year that is not stated"
    first, _, last = value.partition("/")
    if last:
        begins, ends = month(first), month(last)
        return f"{begins.split()[0]} to {ends}" if first[:4] == last[:4] else f"{begins} to {ends}"
    if quarter := re.fullmatch(r"(\d{4})-Q(\d)", value):
        return f"{QUARTERS[quarter[2]]} quarter of {quarter[1]}"
    return month(value) if re.fullmatch(r"\d{4}-\d{2}", value) else value


def month(value: str) -> str:
    """Give a month in words: April 2025."""
    return f"{MONTHS[int(value[5:7]) - 1]} {value[:4]}"


def flow(value: str) -> str:
    """Give a flow in words."""
    return FLOW_WORDS[codes.Flow(value)][0]


def spaced(value: str) -> str:
    """Give a code as words."""
    return value.replace("_", " ").replace("-", " ")


def day(value: str | datetime | None) -> str:
    """Give a day in words: 24 November 2026."""
    if value is None:
        return "date not stated"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def to_words(url: str, exact: str) -> str:
    """Give an address that opens a page of a publisher at the words, in browsers that know text fragments."""
    text = quote(exact, safe="").replace("-", "%2D")  # a bare dash would mean what stands before or after
    return f"{url.partition('#')[0]}#:~:text={text}"


def web(url: str | None) -> str | None:
    """Give an address that a link may lead to: of the web and of nothing else."""
    return url if url is not None and re.match(r"https?://", url, re.IGNORECASE) else None


def parted(exact: str, as_stated: str) -> tuple[str, str, str]:
    """Give what stands before a number in its words, the number, and what stands after it; else all of it before."""
    before, found, after = exact.partition(as_stated)
    return before, found, after


def measured(value: float | int, unit: str) -> str:
    """Give every digit of a value with its unit in words: 43,815,000,000 US dollars."""
    if unit in (codes.Unit.YEAR, codes.Unit.DAY, codes.Unit.QUARTER, codes.Unit.RANK):
        return f"{value:g}"
    return f"{value:,} {'US dollars' if unit == codes.Unit.USD else spaced(unit)}"


def interval(figure: dict[str, Any]) -> str:
    """Give what printed digits and qualifier of a figure allow, in words."""
    lower, upper, unit = figure["lower"], figure["upper"], figure["unit"]
    if lower is None and upper is None:
        return "open on both sides"
    if lower is None:
        return f"at most {measured(upper, unit)}"
    if upper is None:
        return f"at least {measured(lower, unit)}"
    if lower == upper:
        return f"{measured(lower, unit)} and nothing else"
    return f"from {lower:,} to {measured(upper, unit)}"


def named(name: str) -> str:
    """Give a field of a record as words: value_usd is its value."""
    return spaced(name.removesuffix("_usd").removesuffix("_percent"))


def receipt(row: dict[str, Any], name: str = "value_usd") -> str | None:
    """Give the figure behind a field of a row, if its words are known."""
    return next((item["figure"] for item in row.get("evidence", ()) if item["field"] == name and item["figure"]), None)


def said(row: dict[str, Any], name: str = "value_usd") -> str | None:
    """Give the words behind a field of a row, if they are known."""
    return next((item["exact"] for item in row.get("evidence", ()) if item["field"] == name), None)


FILTERS = {
    "number": number,
    "dollars": dollars,
    "amount": amount,
    "period": period,
    "flow": flow,
    "spaced": spaced,
    "capital": capital,
    "day": day,
    "to_words": to_words,
    "receipt": receipt,
    "said": said,
    "web": web,
    "parted": parted,
    "measured": measured,
    "interval": interval,
    "named": named,
}
