"""What every reader of trade files shares: the columns of a read flow, areas by their numbers, and refusals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from app.codes import Code
from app.ingest.blocks import LINE, REASON, TEXT

FLOW_COLUMNS = {
    "reporter": pl.String,
    "partner": pl.String,
    "flow": pl.String,
    "product": pl.String,
    "classification": pl.String,
    "frequency": pl.String,
    "period": pl.String,
    "breakdown": pl.String,
    "value_usd": pl.Int64,
    "net_weight_kg": pl.Float64,
    "net_weight_estimated": pl.Boolean,
    "valuation": pl.String,
    "obs_status": pl.String,
    "line": pl.Int64,
}
"""Columns of a flow as a reader gives it, `line` where it stands."""
FIRST_YEAR, LAST_YEAR = 1900, 2099
"""Years that periods may have, see periods.SHAPE."""
VALUE_MAX = 2.0**53
"""Dollars from which a value is refused: up to here a float tells every whole dollar."""


@dataclass(frozen=True)
class Read:
    """What a reader makes of a block: flows, bad lines, and how many rows it left out for each reason."""

    flows: pl.DataFrame
    bad: pl.DataFrame
    left_out: Mapping[str, int] = field(default_factory=dict)


def as_flows(rows: pl.DataFrame, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Give rows the columns of a flow, each made by its expression."""
    return rows.select(columns[name].cast(kind).alias(name) for name, kind in FLOW_COLUMNS.items())


def either(is_so: pl.Expr, one: Code, other: Code) -> pl.Expr:
    """Give one code or the other."""
    return pl.when(is_so).then(pl.lit(one.value)).otherwise(pl.lit(other.value))


def area(column: str, areas: Mapping[str, str]) -> pl.Expr:
    """Give the code of the economy or area that a number stands for; null where it is unknown."""
    number = pl.col(column).str.strip_chars().str.strip_chars_start("0")
    known = pl.col(column).str.strip_chars() != ""
    return pl.when(known).then(number.replace_strict(list(areas), list(areas.values()), default=None))


def number(column: str) -> pl.Expr:
    """Read a number; null where it is none."""
    return pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)


def is_blank(column: str) -> pl.Expr:
    """Whether a field is blank."""
    return pl.col(column).str.strip_chars() == ""


def whole_dollars(amount: pl.Expr) -> pl.Expr:
    """Round an amount to whole dollars, halves up."""
    whole = amount.floor()  # amount + 0.5 is not exact for large amounts
    return whole.cast(pl.Int64) + (amount - whole >= 0.5).cast(pl.Int64)


def is_amount(amount: pl.Expr) -> pl.Expr:
    """Whether an amount is a number that is not negative and fits."""
    return amount.is_not_null() & amount.is_finite() & (amount >= 0) & (amount < VALUE_MAX)


def hs_code(code: pl.Expr) -> pl.Expr:
    """Give an HS code its leading zero back, which spreadsheets take away: its length is even."""
    digits = code.str.contains(r"^[0-9]+$")
    odd = digits & (code.str.len_chars() % 2 == 1)
    return pl.when(odd).then(pl.lit("0") + code).otherwise(code)


def settle(rows: pl.DataFrame, faults: Sequence[tuple[pl.Expr, pl.Expr]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part good rows from bad ones; the first fault of a row is its reason, its fields are its text."""
    found = rows.with_columns(
        pl.coalesce(pl.when(is_wrong).then(why) for is_wrong, why in faults).alias(REASON),
    )
    bad = found.filter(pl.col(REASON).is_not_null())
    given = [name for name, kind in rows.schema.items() if kind == pl.String and not name.startswith("_")]
    shown = pl.concat_str([pl.lit(f"{name}=") + pl.col(name) for name in given], separator=" ", ignore_nulls=True)
    bad = bad.select(pl.col(LINE).cast(pl.Int64), REASON, shown.str.slice(0, 500).alias(TEXT))
    return found.filter(pl.col(REASON).is_null()).drop(REASON), bad


def says(what: str, column: str, why: str) -> pl.Expr:
    """Say what is wrong with a field, with its value."""
    return pl.format(what + " {} " + why, pl.lit("'") + pl.col(column).str.slice(0, 40) + pl.lit("'"))
