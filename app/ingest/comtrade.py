"""UN Comtrade CSV files: the layout of today's interface (47 columns) and the two before it (35 and 12 columns).

The key of a row has second partner, customs procedure, modes of supply and of transport; only rows that hold all of
each are the whole trade, and the others, its parts, are left out unless asked for. Codes of areas are Comtrade's own.
"""

from collections.abc import Mapping

import polars as pl

from app.codes import NOT_STATED, Flow, Frequency, ObsStatus, Valuation
from app.errors import ImportInvalid
from app.ingest.blocks import Header, plain
from app.ingest.flows_read import (
    FIRST_YEAR,
    LAST_YEAR,
    Read,
    area,
    as_flows,
    either,
    hs_code,
    is_amount,
    is_blank,
    number,
    says,
    settle,
    whole_dollars,
)

SOURCE = {
    "slug": "un-comtrade",
    "kind": "dataset",
    "title": "UN Comtrade database",
    "publisher": "United Nations Statistics Division",
    "url": "https://comtradeplus.un.org/",
    "published_on": None,
    "language": "en",
    "licence": "UN Comtrade terms of use: data may be used, not redistributed",
    "sha256": None,
    "length": None,
    "note": "As reported by each country's statistics office. Exports are valued FOB, imports CIF, unless a row says "
    "otherwise; values that the Division estimated have obs_status E. The files are those of each import's release.",
}
TODAY = {
    "typeCode": "type",
    "freqCode": "freq",
    "refYear": "ref_year",
    "period": "period",
    "reporterCode": "reporter",
    "flowCode": "flow",
    "partnerCode": "partner",
    "partner2Code": "partner2",
    "classificationCode": "classification",
    "cmdCode": "product",
    "aggrLevel": "level",
    "customsCode": "customs",
    "mosCode": "mos",
    "motCode": "mot",
    "qtyUnitCode": "unit",
    "netWgt": "weight",
    "isNetWgtEstimated": "weight_estimated",
    "cifvalue": "cif",
    "fobvalue": "fob",
    "primaryValue": "value",
    "isReported": "reported",
}
BEFORE = {
    "Classification": "classification",
    "Year": "ref_year",
    "Period": "period",
    "Aggregate Level": "level",
    "Trade Flow Code": "flow",
    "Reporter Code": "reporter",
    "Partner Code": "partner",
    "2nd Partner Code": "partner2",
    "Customs Proc. Code": "customs",
    "Mode of Transport Code": "mot",
    "Commodity Code": "product",
    "Netweight (kg)": "weight",
    "Trade Value (US$)": "value",
    "CIF Trade Value (US$)": "cif",
    "FOB Trade Value (US$)": "fob",
}
KNOWN = {plain(name): ours for table in (TODAY, BEFORE) for name, ours in table.items()}
"""Our name of each column by its plain name; header case and underscores do not count."""
REQUIRED = ("reporter", "partner", "flow", "classification", "product", "value")
COLUMNS = tuple(dict.fromkeys((*TODAY.values(), *BEFORE.values())))
FLOWS = {
    **{spelling: str(flow) for flow in Flow for spelling in flow.spellings if flow is not Flow.TOTAL},
    **{"1": str(Flow.IMPORT), "2": str(Flow.EXPORT), "3": str(Flow.RE_EXPORT), "4": str(Flow.RE_IMPORT)},
}
"""Flow codes of today and, as numbers, of the layouts before."""
WHOLE = {"partner2": ("", "0"), "customs": ("", "C00"), "mos": ("", "0"), "mot": ("", "0")}
"""What the columns of breakdown hold where a row is the whole trade."""
BREAKDOWN = {"partner2": "second partner", "customs": "customs procedure", "mos": "mode of supply", "mot": "transport"}
WORLD = ""
"""What is left of the World's number, 0, without leading zeros: how `areas` has it."""
IMPORTS = ("import", "re_import", "foreign_import", "import_inward_processing", "import_outward_processing")


def check_header(name: str, header: Header) -> None:
    """Refuse a file that is of none of the layouts. Raises ImportInvalid."""
    found = set(header.kept.values())
    missing = [one for one in REQUIRED if one not in found]
    if not {"period", "ref_year"} & found:
        missing.append("period")
    if missing:
        today = {ours: theirs for theirs, ours in TODAY.items()}
        raise ImportInvalid(
            f"{name}: the header is of no UN Comtrade layout; it lacks {', '.join(today[one] for one in missing)}"
        )


def parse(rows: pl.DataFrame, areas: Mapping[str, str], all_breakdowns: bool) -> Read:
    """Read rows of either layout as flows; `areas` gives the code of each of Comtrade's area numbers."""
    rows = with_every_column(rows)
    left_out: dict[str, int] = {}
    if not all_breakdowns:
        for name, meaning in BREAKDOWN.items():
            is_whole = pl.col(name).str.strip_chars().is_in(WHOLE[name])
            kept = rows.filter(is_whole)
            if parts := rows.height - kept.height:
                left_out[f"a part by {meaning}"] = parts
            rows = kept
    found = rows.with_columns(
        area("reporter", areas).alias("_reporter"),
        area("partner", areas).alias("_partner"),
        pl.col("flow").str.strip_chars().replace_strict(list(FLOWS), list(FLOWS.values()), default=None).alias("_flow"),
        product().alias("_product"),
        number("value").alias("_value"),
        number("weight").alias("_weight"),
        pl.when(is_blank("partner2"))
        .then(pl.lit(areas.get(WORLD)))
        .otherwise(area("partner2", areas))
        .alias("_partner2"),
    )
    good, bad = settle(found, FAULTS)
    return Read(flows_of(good), bad, left_out)


def with_every_column(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that a layout lacks, blank; a year alone is the period."""
    missing = [name for name in COLUMNS if name not in rows.columns]
    rows = rows.with_columns(pl.lit("").alias(name) for name in missing)
    if "period" in missing:
        rows = rows.with_columns(pl.col("ref_year").alias("period"))
    return rows.with_columns(
        pl.col("classification").str.strip_chars().str.to_uppercase(),
        pl.col("period").str.strip_chars(),
        pl.col("product").str.strip_chars().str.to_uppercase(),
    )


IS_HS = pl.col("classification").str.contains(r"^H")


def product() -> pl.Expr:
    """Give the product's code with the leading zeros that its level or, in HS, its even length asks for."""
    code, level = pl.col("product"), pl.col("level").str.strip_chars().cast(pl.Int64, strict=False)
    leveled = code.str.contains(r"^[0-9]+$") & level.is_between(2, 6) & (code.str.len_chars() < level)
    return (
        pl.when(IS_HS)
        .then(hs_code(code))
        .when(leveled & ~pl.col("classification").str.starts_with("E"))
        .then(code.str.zfill(level))
        .otherwise(code)
    )


def is_code(column: str) -> pl.Expr:
    """Tell whether a field is a code of a breakdown, or blank."""
    return pl.col(column).str.strip_chars().str.contains(r"^[A-Za-z0-9]{0,12}$")


YEAR = pl.col("period").str.slice(0, 4).cast(pl.Int64, strict=False)
FREQ = pl.col("freq").str.strip_chars().str.to_uppercase()
IS_ANNUAL = pl.col("period").str.contains(r"^[0-9]{4}$")
IS_MONTHLY = pl.col("period").str.contains(r"^[0-9]{4}(0[1-9]|1[0-2])$")
HS_SHAPE = pl.col("_product").str.contains(r"^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{4}[A-Z]{2}|TOTAL)$")
FAULTS = (
    (
        ~pl.col("type").str.strip_chars().is_in(["", "C", "S"]),
        says("type", "type", "is neither goods C nor services S"),
    ),
    (~FREQ.is_in(["", "A", "M"]), says("frequency", "freq", "is neither A nor M")),
    (~(IS_ANNUAL | IS_MONTHLY), says("period", "period", "is no year and no month")),
    ((FREQ == "A") & ~IS_ANNUAL, says("period", "period", "is no year, and the row is annual")),
    ((FREQ == "M") & ~IS_MONTHLY, says("period", "period", "is no month, and the row is monthly")),
    (~YEAR.is_between(FIRST_YEAR, LAST_YEAR), says("period", "period", f"is not from {FIRST_YEAR} to {LAST_YEAR}")),
    (
        ~is_blank("ref_year") & (pl.col("ref_year").str.strip_chars() != pl.col("period").str.slice(0, 4)),
        says("year", "ref_year", "is not that of the period"),
    ),
    (pl.col("_reporter").is_null(), says("reporter", "reporter", "is no area that is known")),
    (pl.col("_partner").is_null(), says("partner", "partner", "is no area that is known")),
    (pl.col("_partner2").is_null(), says("second partner", "partner2", "is no area that is known")),
    *((~is_code(name), says(BREAKDOWN[name], name, "is no code")) for name in ("customs", "mos", "mot")),
    (pl.col("_flow").is_null(), says("flow", "flow", "is not known")),
    (
        ~pl.col("classification").str.contains(r"^[A-Z][A-Z0-9]{0,7}$"),
        says("classification", "classification", "is no code"),
    ),
    (IS_HS & ~HS_SHAPE, says("product", "product", "is no HS code of 2, 4 or 6 characters")),
    (~pl.col("_product").str.contains(r"^[A-Z0-9.]{1,12}$"), says("product", "product", "is no code")),
    (is_blank("value"), says("value", "value", "is missing")),
    (~is_amount(pl.col("_value")), says("value", "value", "is no amount")),
    (~is_blank("weight") & ~is_amount(pl.col("_weight")), says("weight", "weight", "is no amount")),
)
"""What makes a row bad, and how it is told; the first that holds is."""


def flows_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Give good rows the columns of a flow."""
    weight = pl.col("_weight")
    is_service = (pl.col("type").str.strip_chars() == "S") | pl.col("classification").str.starts_with("E")
    is_missing = (weight == 0) & pl.col("unit").str.strip_chars().is_in(["", "-1"])
    no_weight = is_service | weight.is_null() | is_missing
    month = pl.col("period").str.slice(0, 4) + "-" + pl.col("period").str.slice(4, 2)
    columns = {
        "reporter": pl.col("_reporter"),
        "partner": pl.col("_partner"),
        "flow": pl.col("_flow"),
        "product": pl.col("_product"),
        "classification": pl.col("classification"),
        "frequency": either(IS_ANNUAL, Frequency.ANNUAL, Frequency.MONTHLY),
        "period": pl.when(IS_ANNUAL).then(pl.col("period")).otherwise(month),
        "breakdown": breakdown(),
        "value_usd": whole_dollars(pl.col("_value")),
        "net_weight_kg": pl.when(~no_weight).then(weight),
        "net_weight_estimated": pl.when(~no_weight).then(truth("weight_estimated")),
        "valuation": pl.when(is_service).then(pl.lit(Valuation.UNSPECIFIED.value)).otherwise(valuation()),
        "obs_status": either(truth("reported").fill_null(True), ObsStatus.NORMAL, ObsStatus.ESTIMATED),
        "line": pl.col("line"),
    }
    return as_flows(rows, columns)


def truth(column: str) -> pl.Expr:
    """Read a truth value in any of its spellings; null where it is blank."""
    said = pl.col(column).str.strip_chars().str.to_lowercase()
    return said.replace_strict(["true", "1", "false", "0"], [True, True, False, False], default=None)


def breakdown() -> pl.Expr:
    """Give which part of the whole a row is: second partner, customs procedure, modes of supply and of transport."""
    is_whole = pl.all_horizontal(pl.col(name).str.strip_chars().is_in(values) for name, values in WHOLE.items())
    codes = [
        pl.when(is_blank(name)).then(pl.lit(WHOLE[name][1])).otherwise(pl.col(name).str.strip_chars())
        for name in ("customs", "mos", "mot")
    ]
    part = pl.concat_str(pl.col("_partner2"), *codes, separator="_")
    return pl.when(is_whole).then(pl.lit(NOT_STATED)).otherwise(part)


def valuation() -> pl.Expr:
    """Give the valuation whose column holds the value; where both do or none, that of the flow."""
    cif, fob = (number(name).is_not_null() & (number(name) == pl.col("_value")) for name in ("cif", "fob"))
    usual = either(pl.col("_flow").is_in(IMPORTS), Valuation.CIF, Valuation.FOB)
    return pl.when(cif != fob).then(either(cif, Valuation.CIF, Valuation.FOB)).otherwise(usual)
