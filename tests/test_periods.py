"""A period has one spelling, one frequency and the days that the calendar gives it."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.codes import Frequency
from app.periods import ACCEPTED, parse_period

YEARS = some.integers(1900, 2099)
MONTHS = some.integers(1, 12)
QUARTERS = some.integers(1, 4)
SPELLINGS = some.one_of(
    YEARS.map(str),
    some.builds("{}-Q{}".format, YEARS, QUARTERS),
    some.builds("{}-{:02}".format, YEARS, MONTHS),
    some.builds("{0}-01/{0}-{1:02}".format, YEARS, MONTHS),
)


@pytest.mark.parametrize(
    ("text", "frequency", "start", "end"),
    [
        ("2024", Frequency.ANNUAL, date(2024, 1, 1), date(2024, 12, 31)),
        ("2024-Q1", Frequency.QUARTERLY, date(2024, 1, 1), date(2024, 3, 31)),
        ("2024-Q4", Frequency.QUARTERLY, date(2024, 10, 1), date(2024, 12, 31)),
        ("2024-02", Frequency.MONTHLY, date(2024, 2, 1), date(2024, 2, 29)),
        ("2023-02", Frequency.MONTHLY, date(2023, 2, 1), date(2023, 2, 28)),
        ("2025-01/2025-04", Frequency.YEAR_TO_DATE, date(2025, 1, 1), date(2025, 4, 30)),
    ],
)
def test_a_period_has_the_days_and_frequency_it_names(text: str, frequency: Frequency, start: date, end: date) -> None:
    period = parse_period(text)
    assert (period.code, period.frequency, period.start, period.end) == (text, frequency, start, end)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2024-01/2024-12", "2024"),
        ("2024-01/2024-03", "2024-Q1"),
        ("2024-10/2024-12", "2024-Q4"),
        ("2024-01/2024-01", "2024-01"),
        ("2024-05/2024-05", "2024-05"),
    ],
)
def test_spellings_of_one_period_give_one_code(text: str, code: str) -> None:
    assert parse_period(text) == parse_period(code)


@given(SPELLINGS)
def test_a_code_reads_back_as_its_period(text: str) -> None:
    period = parse_period(text)
    assert parse_period(period.code) == period


@given(SPELLINGS)
def test_a_period_is_whole_months_of_its_year(text: str) -> None:
    period = parse_period(text)
    after = period.end + timedelta(days=1)
    assert (period.start.day, after.day) == (1, 1)
    assert period.start < period.end
    assert {period.year, int(text[:4])} == {period.start.year} == {period.end.year}


@given(YEARS)
def test_the_quarters_of_a_year_follow_without_gap(year: int) -> None:
    quarters = [parse_period(f"{year}-Q{number}") for number in (1, 2, 3, 4)]
    starts = [period.start for period in quarters]
    assert starts == [date(year, 1, 1), *(period.end + timedelta(days=1) for period in quarters[:-1])]


@given(YEARS, MONTHS, MONTHS)
def test_months_that_are_no_known_period_are_refused(year: int, first: int, last: int) -> None:
    text = f"{year}-{first:02}/{year}-{last:02}"
    is_quarter = last - first == 2 and last in (3, 6, 9, 12)
    if first == last or is_quarter or (first == 1 and last >= 1):
        assert parse_period(text).end.month == last
        return
    with pytest.raises(ValueError, match="is no year, quarter, month or year to date"):
        parse_period(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "20244",
        "1899",
        "2100",
        "2024-13",
        "2024-00",
        "2024-1",
        "2024-Q0",
        "2024-Q5",
        "2024-q1",
        "2024Q1",
        "2024/2025",
        "2024/",
        "/2024-04",
        "2024-Q1/2024-Q2",
        "2024-01/2025-04",
        "2024-01/2024",
        "2024-01/2024-04/2024-05",
        "2024-01-01",
        "2024 ",
        " 2024",
        "2024\n",
        "-2024",
        "٢٠٢٤",
        "2024-01/2024-0\uff14",
        "--01/--04",
        "January 2024",
    ],
)
def test_what_is_no_period_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        parse_period(text)
    assert str(refusal.value) == f"{text!r} is not a period: {ACCEPTED}"


@given(some.text())
def test_any_text_is_a_period_or_a_value_error(text: str) -> None:
    try:
        code = parse_period(text).code
    except ValueError as refusal:
        assert repr(text) in str(refusal) or "is no year, quarter" in str(refusal)
        return
    assert code[:4] == text[:4]
