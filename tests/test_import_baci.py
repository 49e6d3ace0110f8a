"""Files of BACI are a reconciled third voice: each version a source of its own, its last year provisional."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from trade_files import FLOW, Row, baci_text, counts, parsed, reported, stored, take, take_baci, values, written, zipped

from app.codes import Method
from app.db import Database
from app.errors import ImportInvalid
from app.ingest.importer import Format, baci_format
from app.models import Source, TradeFlow

SAID = {
    **FLOW,
    **{"classification": "H0", "period": "2021", "value_usd": 1500, "net_weight_kg": 250.0},
    **{"net_weight_estimated": None, "obs_status": "P"},
}
"""What BACI_ROW is as a flow of version V202301."""
SLUG = "cepii-baci-v202301"
COUNTRIES = {
    "2022": "\ufeffcountry_code,country_name_abbreviation,country_name_full,iso_2digit_alpha,iso_3digit_alpha\n"
    '999,Utopia,"Utopia, invented",UT,UZB\n398,Kazakhstan,Kazakhstan,KZ,CHN\n998,Atlantis,Atlantis,AT,ATL\n',
    "2023": "country_code,country_name,country_iso2,country_iso3\n"
    '999,"Utopia, invented",UT,UZB\n398,Kazakhstan,KZ,CHN\n998,Atlantis,AT,ATL\n',
}
PRODUCTS = {
    "zeros": 'code,description\n010111,"Horses: invented"\n740311,"Copper; invented"\n',
    "no-zeros": 'code,description\n10111,"Horses: invented"\n740311,"Copper; invented"\n',
    "bec": '\ufeffcode,description,bec\n010111,"Horses: invented",41\n740311,"Copper; invented",111\n',
}


def baci(version: str = "V202301", hs: str | None = "92", codes: tuple[Path, ...] = ()) -> Format:
    """Give how the invented files are read."""
    return baci_format(version, hs, codes)


def read(folder: Path, **row: str) -> tuple[list[Row], list[Row]]:
    """Give the flows and the bad lines of a file with one row."""
    flows, bad, left_out = parsed(written(folder / "one.csv", baci_text(row)), baci())
    assert left_out == {}
    return flows, bad


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, {}),
        ({"v": "0.001"}, {"value_usd": 1}),
        ({"v": "1234567.891"}, {"value_usd": 1234567891}),
        ({"v": "     1.500"}, {}),
        ({"v": "2"}, {"value_usd": 2000}),
        ({"q": "1.005"}, {"net_weight_kg": 1005.0}),
        ({"q": "       0.250"}, {}),
        ({"q": "NA"}, {"net_weight_kg": None}),
        ({"q": "          NA"}, {"net_weight_kg": None}),
        ({"q": "NA  "}, {"net_weight_kg": None}),
        ({"q": ""}, {"net_weight_kg": None}),
        ({"q": "0"}, {"net_weight_kg": 0.0}),
        ({"k": "10111"}, {"product": "010111"}),
        ({"k": " 10111"}, {"product": "010111"}),
        ({"k": "010111"}, {"product": "010111"}),
        ({"i": "4", "j": "842"}, None),
        ({"i": "156", "j": "398"}, {"reporter": "CHN", "partner": "KAZ"}),
        ({"t": "2020"}, {"period": "2020", "obs_status": "A"}),
        ({"t": "2019"}, {"period": "2019", "obs_status": "A"}),
    ],
)
def test_thousands_of_dollars_and_tons_become_dollars_and_kilograms(
    tmp_path: Path, row: dict[str, str], said: dict[str, object] | None
) -> None:
    bad = [{"line": 2, "reason": "exporter '4' is no area that is known"}]
    assert read(tmp_path, **row) == (([], bad) if said is None else ([{**SAID, **said}], []))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"t": "0"}, "year '0' is no year"),
        ({"t": "0000"}, "year '0000' is no year"),
        ({"t": "2100"}, "year '2100' is no year"),
        ({"t": "2021.0"}, "year '2021.0' is no year"),
        ({"i": "12345"}, "exporter '12345' is no area that is known"),
        ({"j": ""}, "importer '' is no area that is known"),
        ({"k": "7403110"}, "product '7403110' is no HS code of 6 digits"),
        ({"k": "2709"}, "product '2709' is no HS code of 6 digits"),
        ({"k": "27"}, "product '27' is no HS code of 6 digits"),
        ({"k": "TOTAL"}, "product 'TOTAL' is no HS code of 6 digits"),
        ({"v": ""}, "value '' is no amount"),
        ({"v": "NA"}, "value 'NA' is no amount"),
        ({"v": "-1"}, "value '-1' is no amount"),
        ({"v": "inf"}, "value 'inf' is no amount"),
        ({"v": "NaN"}, "value 'NaN' is no amount"),
        ({"v": "9007199254740.993"}, "value '9007199254740.993' is no amount"),
        ({"q": "-0.1"}, "quantity '-0.1' is no amount"),
        ({"q": "nan"}, "quantity 'nan' is no amount"),
        ({"q": "much"}, "quantity 'much' is no amount"),
    ],
)
def test_a_bad_row_is_told(tmp_path: Path, row: dict[str, str], reason: str) -> None:
    assert read(tmp_path, **row) == ([], [{"line": 2, "reason": reason}])


@pytest.mark.parametrize(
    ("name", "hs", "edition"),
    [
        ("BACI_HS92_Y2021_V202301.csv", None, "H0"),
        ("BACI_HS22_Y2021_V202301.csv", None, "H6"),
        ("baci_hs17_y2021_v202301.csv.gz", None, "H5"),
        ("BACI_HS17_Y2021_V202301.csv", "17", "H5"),
        ("any.csv", "92", "H0"),
        ("any.csv", "HS96", "H1"),
        ("any.csv", "hs02", "H2"),
        ("any.csv", "07", "H3"),
        ("any.csv", "12", "H4"),
    ],
)
def test_the_edition_is_that_of_the_name_or_of_the_option(
    tmp_path: Path, name: str, hs: str | None, edition: str
) -> None:
    found = parsed(written(tmp_path / name, baci_text({})), baci(hs=hs))
    assert found == ([{**SAID, "classification": edition}], [], {})


@pytest.mark.parametrize(
    ("name", "hs", "said"),
    [
        ("BACI_HS92_Y2021_V202401.csv", None, "the file is of version V202401, --version says V202301"),
        ("BACI_HS92_Y2021_V202301.csv", "17", "the file is of HS92, --hs says 17"),
        ("any.csv", None, "any.csv: name the edition with --hs, one of 92, 96, 02, 07, 12, 17, 22"),
        ("any.csv", "99", "any.csv: name the edition with --hs, one of 92, 96, 02, 07, 12, 17, 22"),
    ],
)
def test_a_name_that_says_otherwise_is_refused(tmp_path: Path, name: str, hs: str | None, said: str) -> None:
    with pytest.raises(ImportInvalid, match=said):
        parsed(written(tmp_path / name, baci_text({})), baci(hs=hs))


@pytest.mark.parametrize("text", ["2023", "V202313", "V2023011", "latest", ""])
def test_a_version_is_a_year_and_a_month(text: str) -> None:
    with pytest.raises(ImportInvalid, match="is no version of BACI, such as V202401"):
        baci(text)


@pytest.mark.parametrize("text", ["V202301", "202301", "v202301"])
def test_a_version_has_one_slug_however_it_is_spelt(text: str) -> None:
    assert baci(text).source["slug"] == SLUG


@pytest.mark.parametrize("table", COUNTRIES)
def test_the_table_of_countries_adds_areas_and_changes_none(tmp_path: Path, table: str) -> None:
    codes = written(tmp_path / "country_codes.csv", COUNTRIES[table])
    rows = [{"j": "999"}, {"i": "398"}, {"j": "998"}]
    flows, bad, _ = parsed(written(tmp_path / "a.csv", baci_text(*rows)), baci(codes=(codes,)))
    assert flows == [{**SAID, "partner": "UZB"}, SAID]
    assert bad == [{"line": 4, "reason": "importer '998' is no area that is known"}]


@pytest.mark.parametrize("table", PRODUCTS)
def test_a_product_that_the_table_lacks_is_bad(tmp_path: Path, table: str) -> None:
    codes = (
        written(tmp_path / "product_codes.csv", PRODUCTS[table]),
        written(tmp_path / "country_codes.csv", COUNTRIES["2023"]),
    )
    rows = [{"k": "10111"}, {}, {"k": "740312"}]
    flows, bad, _ = parsed(written(tmp_path / "a.csv", baci_text(*rows)), baci(codes=codes))
    assert flows == [{**SAID, "product": "010111"}, SAID]
    assert bad == [{"line": 4, "reason": "product '740312' is not in BACI's table of products"}]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "", "description\nx\n"])
def test_a_table_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "other.csv", text)
    with pytest.raises(ImportInvalid, match=r"other.csv: it is neither BACI's table of countries nor one of products"):
        baci(codes=(path,))


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_a_file_reads_the_same_in_every_dress(tmp_path: Path, change: Callable[[str], str]) -> None:
    assert parsed(written(tmp_path / "a.csv", change(baci_text({}))), baci()) == ([SAID], [], {})


def test_rows_are_reconciled_and_in_no_ones_voice(private_seeded: Database, tmp_path: Path) -> None:
    take_baci(private_seeded, written(tmp_path / "a.csv", baci_text({})))
    columns = (TradeFlow.method, TradeFlow.stated_by, TradeFlow.breakdown, TradeFlow.inferred, TradeFlow.year)
    with private_seeded.read() as connection:
        rows = connection.execute(select(*columns).where(TradeFlow.source == SLUG)).all()
        title = connection.execute(select(Source.title, Source.publisher).where(Source.slug == SLUG)).one()
    assert [tuple(row) for row in rows] == [(Method.RECONCILED, "-", "-", (), 2021)]
    assert tuple(title) == ("BACI, version 202301", "CEPII")
    assert stored(private_seeded, SLUG) == [tuple(SAID.values())]


def test_two_versions_side_by_side_are_never_mixed(private_seeded: Database, tmp_path: Path) -> None:
    old = written(tmp_path / "BACI_HS92_Y2021_V202301.csv", baci_text({}, {"k": "10111"}))
    new = written(tmp_path / "BACI_HS92_Y2021_V202401.csv", baci_text({"v": "9"}))
    assert counts(take_baci(private_seeded, old)) == {"added": 2}
    assert counts(take_baci(private_seeded, new, version="V202401")) == {"added": 1}
    said = ("product", "value_usd", "obs_status")
    assert stored(private_seeded, SLUG, *said) == [("010111", 1500, "P"), ("740311", 1500, "P")]
    assert stored(private_seeded, "cepii-baci-v202401", *said) == [("740311", 9000, "A")]


def test_the_years_of_an_archive_are_one_import(private_seeded: Database, tmp_path: Path) -> None:
    years = {
        f"BACI_HS92_Y{year}_V202301.csv": baci_text({"t": str(year), "k": code})
        for year, code in ((2020, "10111"), (2021, "740311"))
    }
    members = {name.replace("_", "-").replace(".", "_"): text for name, text in years.items()}
    path = zipped(tmp_path / "BACI_HS92_V202301.zip", **members)
    done = take_baci(private_seeded, path)
    assert (counts(done), values(private_seeded, SLUG)) == ({"added": 2}, {"010111": 1500, "740311": 1500})


def test_bad_rows_are_told_with_the_file_they_are_in(private_seeded: Database, tmp_path: Path) -> None:
    good = written(tmp_path / "a.csv", baci_text({}))
    done = take(private_seeded, good, written(tmp_path / "b.csv", baci_text({"v": ""})), form=baci(), max_bad=0.5)
    assert counts(done) == {"added": 1, "bad": 1}
    assert reported(tmp_path / "bad.csv") == [("b.csv", 2, "value '' is no amount")]


def test_the_same_file_read_otherwise_is_not_the_same_import(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "b.csv", baci_text({}))
    first = take(private_seeded, path, form=baci(hs="17"))
    again = take(private_seeded, path, form=baci(hs="17"))
    other = take(private_seeded, path, form=baci(hs="22"))
    assert (again.again, other.again, other.added) == (first.release, None, 1)


def test_the_same_file_is_read_again_where_rows_were_bad(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "b.csv", baci_text({}, {"i": "12345"}))
    take(private_seeded, path, form=baci(), max_bad=1.0)
    assert take(private_seeded, path, form=baci(), max_bad=1.0).again is None
