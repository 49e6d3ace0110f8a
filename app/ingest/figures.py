"""The interval that a stated number allows: what its printed digits and its qualifier leave open."""

import re
from decimal import Decimal

from app.codes import Qualifier, Unit

DIGITS = re.compile(r"\d[\d,]*(?:\.(?P<fraction>\d+))?", re.ASCII)
SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
MEASURED = frozenset({Unit.USD, Unit.PERCENT, Unit.TONS})
"""Units whose numbers are rounded; the others count whole things."""
LOOSE = Decimal("0.05")
"""Share by which `approximately` and `around` may be off either way."""
NEARLY = Decimal("0.10")
"""Share by which `nearly` may be short."""


def stated_value(as_stated: str) -> Decimal | None:
    """Give the number that words print, scale included; null where they print no digits."""
    match = DIGITS.search(as_stated)
    if match is None:
        return None
    return Decimal(match[0].replace(",", "")).scaleb(scale(as_stated))


def scale(as_stated: str) -> int:
    """Give the power of ten that a word such as `billion` stands for."""
    return next((power for word, power in SCALES.items() if word in as_stated.lower()), 0)


def rounding(as_stated: str, unit: Unit) -> Decimal:
    """Give half a unit of the last printed digit; 0 where whole things are counted or no digits are printed."""
    match = DIGITS.search(as_stated)
    if match is None or unit not in MEASURED:
        return Decimal(0)
    return Decimal("0.5").scaleb(scale(as_stated) - len(match["fraction"] or ""))


def interval(as_stated: str, value: Decimal, unit: Unit, qualifier: Qualifier) -> tuple[Decimal | None, Decimal | None]:
    """Give the least and greatest value that a statement allows, in its unit; null is unbounded."""
    half = rounding(as_stated, unit)
    if qualifier in (Qualifier.APPROXIMATELY, Qualifier.AROUND):
        half = max(half, abs(value) * LOOSE)
    if qualifier is Qualifier.NEARLY:
        return value - abs(value) * NEARLY, value
    if qualifier is Qualifier.MORE_THAN:
        return value, None
    if qualifier in (Qualifier.LESS_THAN, Qualifier.UP_TO):
        return None, value
    return value - half, value + half
