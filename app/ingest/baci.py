"""CEPII BACI: trade reconciled by CEPII from both sides' reports, one row an exporter, importer, HS6 product and year.

Values are thousand US dollars FOB, weights metric tons. Versions must not be mixed, so a version is a source of its
own; its last year is provisional. Area numbers are BACI's own and are looked up, never read as ISO numbers.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from app.codes import NOT_STATED, Flow, Frequency, ObsStatus, Valuation
from app.errors import ImportInvalid
from app.ingest.blocks import Header, decoded, plain
from app.ingest.flows_read import (
    FIRST_YEAR,
    LAST_YEAR,
    Read,
    area,
    as_flows,
    either,
    is_amount,
    number,
    says,
    settle,
    whole_dollars,
)

KNOWN = {"t": "year", "i": "exporter", "j": "importer", "k": "product", "v": "value", "q": "quantity"}
EDITIONS = {"92": "H0", "96": "H1", "02": "H2", "07": "H3", "12": "H4", "17": "H5", "22": "H6"}
"""Edition of the Harmonized System by the year in a file's name."""
NAME = re.compile(r"BACI_HS(\d\d)_Y(\d{4})_V(\d{6}[a-z]?)", re.IGNORECASE)
VERSION = re.compile(r"V?(\d{4})(0[1-9]|1[0-2])([a-z]?)", re.IGNORECASE)
CODE_COLUMNS = {"countrycode": "area", "code": "product", "iso3digitalpha": "iso3", "countryiso3": "iso3"}


@dataclass(frozen=True)
class Codes:
    """What BACI's own code tables say: the ISO code of each area number, and which products there are."""

    areas: Mapping[str, str] = field(default_factory=dict)
    products: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Version:
    """A version of BACI, such as V202401; its last year is two before that of its release."""

    text: str
    last_year: int

    @property
    def source(self) -> dict[str, object]:
        """The source that the version is."""
        return {
            "slug": f"cepii-baci-{self.text.lower()}",
            "kind": "dataset",
            "title": f"BACI, version {self.text[1:]}",
            "publisher": "CEPII",
            "url": "https://www.cepii.fr/CEPII/en/bdd_modele/bdd_modele_item.asp?id=37",
            "published_on": None,
            "language": "en",
            "licence": "Etalab Open Licence 2.0",
            "sha256": None,
            "length": None,
            "note": "Reconciled by CEPII from the reports of both sides, valued FOB: neither country's own report. "
            f"The last year, {self.last_year}, is provisional. Versions are not to be mixed. Cite Gaulier, G. and "
            "Zignago, S. (2010), CEPII Working Paper 2010-23.",
        }


def read_version(text: str) -> Version:
    """Read `V202401`. Raises ImportInvalid."""
    found = VERSION.fullmatch(text)
    if found is None:
        raise ImportInvalid(f"--version {text[:40]!r} is no version of BACI, such as V202401")
    return Version(f"V{found[1]}{found[2]}{found[3].lower()}", int(found[1]) - 2)


def edition_of(name: str, version: Version, stated: str | None) -> str:
    """Give the HS edition that a file's name says, and hold the name to the version. Raises ImportInvalid."""
    found = NAME.search(name)
    if found and f"V{found[3].lower()}" != version.text:
        raise ImportInvalid(f"{name}: the file is of version V{found[3]}, --version says {version.text}")
    edition = stated.upper().removeprefix("HS") if stated else found[1] if found else None
    if edition not in EDITIONS:
        raise ImportInvalid(
            f"{name}: name the edition with --hs, one of {', '.join(EDITIONS)}: the file's name does not"
        )
    if found and found[1] != edition:
        raise ImportInvalid(f"{name}: the file is of HS{found[1]}, --hs says {edition}")
    return EDITIONS[edition]


def read_codes(paths: Iterable[Path]) -> Codes:
    """Read BACI's country and product tables, in any of their layouts. Raises ImportInvalid."""
    areas: dict[str, str] = {}
    products: set[str] = set()
    for path in paths:
        lines = decoded(path.read_bytes()).removeprefix("\ufeff").splitlines()
        table = csv.DictReader(lines)
        names = {CODE_COLUMNS[plain(name)]: name for name in table.fieldnames or () if plain(name) in CODE_COLUMNS}
        if "area" not in names and "product" not in names:
            raise ImportInvalid(f"{path.name}: it is neither BACI's table of countries nor one of products")
        for row in table:
            if "area" in names and row.get(names.get("iso3", "")):
                areas[row[names["area"]].strip().lstrip("0")] = row[names["iso3"]].strip()
            elif "product" in names:
                code = row[names["product"]].strip()
                products.add(code.zfill(6) if len(code) == 5 else code)
    return Codes(areas, frozenset(products))


def six_digits(product: pl.Expr) -> pl.Expr:
    """Give a code its leading zero again where it has five digits; fewer are no subheading that lost one."""
    return pl.when(product.str.len_chars() == 5).then(product.str.zfill(6)).otherwise(product)


def check_header(name: str, header: Header) -> None:
    """Refuse a file that is no BACI file. Raises ImportInvalid."""
    if missing := [letter for letter, ours in KNOWN.items() if ours not in header.kept.values()]:
        raise ImportInvalid(f"{name}: the header is not BACI's t,i,j,k,v,q; it lacks {', '.join(missing)}")


def parse(rows: pl.DataFrame, areas: Mapping[str, str], codes: Codes, edition: str, version: Version) -> Read:
    """Read rows as flows from the exporter; `areas` gives the code of each area number, before BACI's own table."""
    ours = set(areas.values())
    known = {**{one: iso3 for one, iso3 in codes.areas.items() if iso3 in ours}, **areas}
    quantity = pl.col("quantity").str.strip_chars()
    found = rows.with_columns(
        area("exporter", known).alias("_reporter"),
        area("importer", known).alias("_partner"),
        six_digits(pl.col("product").str.strip_chars()).alias("_product"),
        number("year").alias("_year"),
        (number("value") * 1000).alias("_value"),
        (number("quantity") * 1000).round(6).alias("_weight"),  # 1.005 tons are 1005 kg, not 1004.9999999999999
        quantity.is_in(["", "NA"]).alias("_unweighed"),
    )
    listed = pl.col("_product").is_in(sorted(codes.products)) if codes.products else pl.lit(True)
    faults = (
        (
            ~(
                pl.col("year").str.strip_chars().str.contains(r"^[0-9]{4}$")
                & pl.col("_year").is_between(FIRST_YEAR, LAST_YEAR)
            ),
            says("year", "year", "is no year"),
        ),
        (pl.col("_reporter").is_null(), says("exporter", "exporter", "is no area that is known")),
        (pl.col("_partner").is_null(), says("importer", "importer", "is no area that is known")),
        (~pl.col("_product").str.contains(r"^[0-9]{6}$"), says("product", "product", "is no HS code of 6 digits")),
        (~listed, says("product", "product", "is not in BACI's table of products")),
        (~is_amount(pl.col("_value")), says("value", "value", "is no amount")),
        (
            ~pl.col("_unweighed") & ~is_amount(pl.col("_weight")),
            says("quantity", "quantity", "is no amount"),
        ),
    )
    good, bad = settle(found, faults)
    return Read(flows_of(good, edition, version), bad)


def flows_of(rows: pl.DataFrame, edition: str, version: Version) -> pl.DataFrame:
    """Give good rows the columns of a flow; the version's last year is provisional."""
    columns = {
        "reporter": pl.col("_reporter"),
        "partner": pl.col("_partner"),
        "flow": pl.lit(Flow.EXPORT.value),
        "product": pl.col("_product"),
        "classification": pl.lit(edition),
        "frequency": pl.lit(Frequency.ANNUAL.value),
        "period": pl.col("year").str.strip_chars(),
        "breakdown": pl.lit(NOT_STATED),
        "value_usd": whole_dollars(pl.col("_value")),
        "net_weight_kg": pl.when(~pl.col("_unweighed")).then(pl.col("_weight")),
        "net_weight_estimated": pl.lit(None),
        "valuation": pl.lit(Valuation.FOB.value),
        "obs_status": either(pl.col("_year") >= version.last_year, ObsStatus.PROVISIONAL, ObsStatus.NORMAL),
        "line": pl.col("line"),
    }
    return as_flows(rows, columns)
