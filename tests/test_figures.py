"""A stated number allows the interval that its printed digits and its qualifier leave open."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import select

from app.codes import Qualifier, Unit
from app.db import Database
from app.ingest.figures import interval, stated_value
from app.models import Figure

AMOUNTS = some.decimals(0, 10**12, places=2)
QUALIFIED = some.sampled_from(list(Qualifier))
UNITS = some.sampled_from(list(Unit))


def bounds(words: str, value: str, unit: Unit, qualifier: Qualifier = Qualifier.EXACT) -> tuple[str | None, ...]:
    return tuple(
        None if edge is None else f"{edge.normalize():f}" for edge in interval(words, Decimal(value), unit, qualifier)
    )


@pytest.mark.parametrize(
    ("words", "value", "unit", "lower", "upper"),
    [
        ("$30.05 billion", "30050000000", Unit.USD, "30045000000", "30055000000"),
        ("$8.7 billion", "8700000000", Unit.USD, "8650000000", "8750000000"),
        ("$95 billion", "95000000000", Unit.USD, "94500000000", "95500000000"),
        ("$100 billion", "100000000000", Unit.USD, "99500000000", "100500000000"),
        ("15.5%", "15.5", Unit.PERCENT, "15.45", "15.55"),
        ("13%", "13", Unit.PERCENT, "12.5", "13.5"),
        ("29.3 million tons", "29300000", Unit.TONS, "29250000", "29350000"),
    ],
)
def test_printed_digits_allow_half_of_the_last_one(words: str, value: str, unit: Unit, lower: str, upper: str) -> None:
    assert bounds(words, value, unit) == (lower, upper)


@pytest.mark.parametrize(
    ("words", "value", "unit"),
    [
        ("58 commercial agreements", "58", Unit.AGREEMENTS),
        ("224 projects", "224", Unit.PROJECTS),
        ("62 joint projects", "62", Unit.PROJECTS),
        ("second-largest", "2", Unit.RANK),
        ("second to Russia", "2", Unit.RANK),
        ("first quarter", "1", Unit.QUARTER),
        ("first four months", "4", Unit.MONTHS),
        ("June 16", "16", Unit.DAY),
        ("2024", "2024", Unit.YEAR),
    ],
)
def test_what_is_counted_or_named_is_meant_exactly(words: str, value: str, unit: Unit) -> None:
    assert bounds(words, value, unit) == (value, value)


@pytest.mark.parametrize(
    ("words", "value", "unit", "qualifier", "lower", "upper"),
    [
        ("nearly half", "50", Unit.PERCENT, Qualifier.NEARLY, "45", "50"),
        ("around $66.5 billion", "66500000000", Unit.USD, Qualifier.AROUND, "63175000000", "69825000000"),
        ("approximately 50,000 jobs", "50000", Unit.JOBS, Qualifier.APPROXIMATELY, "47500", "52500"),
        ("around $1 billion", "1000000000", Unit.USD, Qualifier.AROUND, "500000000", "1500000000"),
        ("more than $3 billion", "3000000000", Unit.USD, Qualifier.MORE_THAN, "3000000000", None),
        ("less than 10%", "10", Unit.PERCENT, Qualifier.LESS_THAN, None, "10"),
        ("up to 40 projects", "40", Unit.PROJECTS, Qualifier.UP_TO, None, "40"),
    ],
)
def test_a_qualifier_widens_or_opens_the_interval(
    words: str, value: str, unit: Unit, qualifier: Qualifier, lower: str | None, upper: str | None
) -> None:
    assert bounds(words, value, unit, qualifier) == (lower, upper)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("$30.05 billion", "30050000000"),
        ("approximately 50,000 jobs", "50000"),
        ("29.3 million tons", "29300000"),
        ("29.3 MILLION", "29300000"),
        ("1,234,567", "1234567"),
        ("5 thousand", "5000"),
        ("$1.2 trillion", "1200000000000"),
        ("15.5%", "15.5"),
    ],
)
def test_printed_digits_give_the_value_with_its_scale(words: str, value: str) -> None:
    assert stated_value(words) == Decimal(value)


@pytest.mark.parametrize("words", ["nearly half", "second-largest", "first quarter", "", "½"])
def test_words_without_digits_print_no_value(words: str) -> None:
    assert stated_value(words) is None


@given(AMOUNTS, some.sampled_from(["", " thousand", " million", " billion", " trillion"]), UNITS, QUALIFIED)
def test_a_value_lies_in_its_own_interval(amount: Decimal, word: str, unit: Unit, qualifier: Qualifier) -> None:
    words = f"{amount:,}{word}"
    value = stated_value(words)
    lower, upper = interval(words, value, unit, qualifier)
    assert (lower is None or lower <= value) and (upper is None or value <= upper)


@given(AMOUNTS, UNITS)
def test_a_loose_word_never_narrows_the_interval(amount: Decimal, unit: Unit) -> None:
    exact = interval(f"{amount}", amount, unit, Qualifier.EXACT)
    loose = interval(f"{amount}", amount, unit, Qualifier.AROUND)
    assert loose[0] <= exact[0] <= exact[1] <= loose[1]


def test_every_published_figure_has_the_interval_of_its_words(seeded: Database) -> None:
    with seeded.read() as connection:
        figures = connection.execute(select(Figure.__table__)).mappings().all()
    assert len(figures) >= 44
    for figure in figures:
        expected = interval(
            figure["as_stated"], Decimal(str(figure["value"])), Unit(figure["unit"]), Qualifier(figure["qualifier"])
        )
        assert (figure["lower"], figure["upper"]) == tuple(edge if edge is None else float(edge) for edge in expected)
