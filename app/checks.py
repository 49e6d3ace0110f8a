"""Arithmetic of the published figures: what their sums, shares, changes and periods come to, and whether that fits.

Every figure is an interval, what its printed digits and qualifier allow; a check holds when the stated values agree
to the digit, holds within rounding when the intervals meet, and is a conflict when they do not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from app.codes import CheckKind, Direction, Verdict
from app.models import Check, Figure
from app.names import visible

UNCHANGED = Decimal(5)
"""Change in percent up to which `nearly unchanged` holds."""
MONTHS_OF_QUARTER = 3


@dataclass(frozen=True)
class Amount:
    """A value with the interval it may lie in; null is unbounded."""

    value: Decimal
    lower: Decimal | None
    upper: Decimal | None

    def meets(self, other: "Amount") -> bool:
        """Whether the two intervals have a value in common."""
        return not (is_above(self.lower, other.upper) or is_above(other.lower, self.upper))

    def room(self, *, above: bool) -> Decimal:
        """How far the value may lie above or below what is stated; 0 where that side is unbounded."""
        end = self.upper if above else self.lower
        return Decimal(0) if end is None else abs(end - self.value)


def is_above(low: Decimal | None, high: Decimal | None) -> bool:
    """Whether a lower bound lies above an upper one."""
    return low is not None and high is not None and low > high


def amount_of(figure: Mapping[str, Any]) -> Amount:
    """Give a figure as an interval."""
    return Amount(Decimal(str(figure["value"])), exactly(figure["lower"]), exactly(figure["upper"]))


def add(parts: Sequence[Amount]) -> Amount:
    """Add intervals."""
    lowers, uppers = [part.lower for part in parts], [part.upper for part in parts]
    return Amount(
        sum((part.value for part in parts), Decimal(0)),
        None if None in lowers else sum((low for low in lowers if low is not None), Decimal(0)),
        None if None in uppers else sum((high for high in uppers if high is not None), Decimal(0)),
    )


def in_percent(part: Amount, whole: Amount) -> Amount:
    """Give one interval in percent of another, both of positive amounts."""
    return Amount(
        100 * part.value / whole.value,
        None if part.lower is None or not whole.upper else 100 * part.lower / whole.upper,
        None if part.upper is None or not whole.lower else 100 * part.upper / whole.lower,
    )


@dataclass(frozen=True)
class Finding:
    """What a check comes to."""

    verdict: Verdict
    actual: Amount
    formula: str


def equal(actual: Amount, expected: Amount, formula: str) -> Finding:
    """Hold a computed amount against a stated one."""
    if actual.value == expected.value:
        return Finding(Verdict.HOLDS, actual, formula)
    return Finding(Verdict.WITHIN_ROUNDING if actual.meets(expected) else Verdict.CONFLICTS, actual, formula)


def check_sum(figures: Sequence[Amount], expected: Amount, _: Direction | None) -> Finding:
    """Whether the figures add up to the expected one."""
    return equal(add(figures), expected, "sum of the figures")


def check_share(figures: Sequence[Amount], expected: Amount, _: Direction | None) -> Finding:
    """Whether the first figure is the expected percentage of the second."""
    return equal(in_percent(figures[0], figures[1]), expected, "100 * first figure / second figure")


def check_same(figures: Sequence[Amount], expected: Amount, _: Direction | None) -> Finding:
    """Whether a figure is the expected one."""
    return equal(figures[0], expected, "the figure itself")


def check_period(figures: Sequence[Amount], expected: Amount, _: Direction | None) -> Finding:
    """Whether a quarter ends with the month that a number of months from January ends with."""
    ends = figures[0].value * MONTHS_OF_QUARTER
    return equal(Amount(ends, ends, ends), expected, "last month of the quarter = 3 * quarter")


def check_parts(figures: Sequence[Amount], expected: Amount, _: Direction | None) -> Finding:
    """Whether the figures together are no more than the expected one."""
    actual, formula = add(figures), "sum of the figures, at most the expected"
    if actual.value <= expected.value:
        return Finding(Verdict.HOLDS, actual, formula)
    fits = not is_above(actual.lower, expected.upper)
    return Finding(Verdict.WITHIN_ROUNDING if fits else Verdict.CONFLICTS, actual, formula)


def check_change(figures: Sequence[Amount], _: Amount, direction: Direction | None) -> Finding:
    """Whether the change from the second figure to the first goes as words say."""
    later, earlier = figures[0], figures[1]
    ratio = in_percent(later, earlier)
    change = Amount(
        ratio.value - 100,
        None if ratio.lower is None else ratio.lower - 100,
        None if ratio.upper is None else ratio.upper - 100,
    )
    goes = {
        Direction.INCREASE: change.value > 0,
        Direction.DECREASE: change.value < 0,
        Direction.UNCHANGED: abs(change.value) <= UNCHANGED,
    }
    verdict = Verdict.HOLDS if direction is not None and goes[direction] else Verdict.CONFLICTS
    if verdict is Verdict.CONFLICTS and later.meets(earlier):
        verdict = Verdict.WITHIN_ROUNDING
    return Finding(verdict, change, "100 * first figure / second figure - 100, in percent")


CHECKS: Mapping[CheckKind, Callable[[Sequence[Amount], Amount, Direction | None], Finding]] = {
    CheckKind.SUM: check_sum,
    CheckKind.SHARE: check_share,
    CheckKind.SAME: check_same,
    CheckKind.CHANGE: check_change,
    CheckKind.PERIOD: check_period,
    CheckKind.PARTS: check_parts,
}


CHECK = ("slug", "title", "kind", "figures", "expected", "direction", "source", "note")
FIGURE = ("id", "as_stated", "value", "unit", "lower", "upper", "stated_by", "exact")


def findings(connection: Connection, release: int, *narrowed: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Give the checks of a release with their figures, operands first, and what each comes to."""
    query = select(*(getattr(Check, name) for name in CHECK)).where(visible(Check, release), *narrowed)
    checks = [
        dict(zip(CHECK, row, strict=True)) for row in connection.execute(query.order_by(Check.source, Check.slug))
    ]
    ids = {name for check in checks for name in (*check["figures"], check["expected"]) if name}
    found = select(*(getattr(Figure, name) for name in FIGURE)).where(Figure.id.in_(ids), visible(Figure, release))
    figures = {row[0]: dict(zip(FIGURE, row, strict=True)) for row in connection.execute(found)}
    return [{**check, **compute(check, figures), "figures": used(check, figures)} for check in checks]


def used(check: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give the figures that a check reads, each with its role."""
    roles = [(name, "operand") for name in check["figures"]]
    if check["expected"]:
        roles.append((check["expected"], "expected"))
    numbers = ("value", "lower", "upper")
    return [
        {**figures[name], "role": role, **{one: plain(exactly(figures[name][one])) for one in numbers}}
        for name, role in roles
    ]


def exactly(value: float | None) -> Decimal | None:
    """Give a stored number as the decimal it prints as."""
    return None if value is None else Decimal(str(value))


def compute(check: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Give what a check finds on these figures: verdict, actual, expected, difference and tolerance."""
    operands = [amount_of(figures[name]) for name in check["figures"]]
    stated = figures.get(check["expected"] or "")
    expected = amount_of(stated) if stated else Amount(Decimal(0), Decimal(0), Decimal(0))
    direction = Direction(check["direction"]) if check["direction"] else None
    found = CHECKS[CheckKind(check["kind"])](operands, expected, direction)
    return {
        "verdict": found.verdict,
        "formula": found.formula,
        "actual": plain(found.actual.value),
        "actual_lower": plain(found.actual.lower),
        "actual_upper": plain(found.actual.upper),
        "expected": plain(expected.value) if stated else None,
        "expected_lower": plain(expected.lower) if stated else None,
        "expected_upper": plain(expected.upper) if stated else None,
        "difference": plain(found.actual.value - expected.value) if stated else None,
        "tolerance": plain(tolerance(found.actual, expected)) if stated else None,
    }


def tolerance(actual: Amount, expected: Amount) -> Decimal:
    """How far the two may lie apart, on the sides that face each other, and still meet."""
    is_below = actual.value < expected.value
    return actual.room(above=is_below) + expected.room(above=not is_below)


DIGITS = Decimal("0.0001")


def plain(value: Decimal | None) -> int | float | None:
    """Give an amount as a JSON number, to four digits after the point."""
    if value is None:
        return None
    rounded = value.quantize(DIGITS)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
