"""Files of UN Comtrade are read for what they say, with every trap of their layouts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trade_files import (
    FLOW,
    LEGACY_ROW,
    PLUS,
    Row,
    comtrade_text,
    counts,
    legacy_text,
    parsed,
    reported,
    short_text,
    stored,
    take,
    values,
    written,
    zipped,
)

from app.db import Database
from app.ingest.importer import comtrade_format, read_areas

LEGACY_FLOW = {
    **{"product": "00", "classification": "S4", "period": "2010", "value_usd": 700, "net_weight_kg": None},
    **{"net_weight_estimated": None},
}
SHORT_FLOW = {**LEGACY_FLOW, "classification": "H5"}
PARTS = {
    "second partner": {"partner2Code": "842"},
    "customs procedure": {"customsCode": "C01"},
    "mode of supply": {"mosCode": "1"},
    "transport": {"motCode": "2000"},
}
SERVICE = {
    **{"typeCode": "S", "classificationCode": "EB10", "classificationSearchCode": "EB", "cmdCode": "200"},
    **{"aggrLevel": "3", "qtyUnitCode": "-1", "netWgt": "0", "fobvalue": "", "cifvalue": "1000"},
}


def only(path: Path, all_breakdowns: bool = False) -> Row:
    """Give the one flow of a file that has nothing else."""
    [flow], bad, left_out = parsed(path, comtrade_format(all_breakdowns))
    assert (bad, left_out) == ([], {})
    return flow


def read(folder: Path, **row: str) -> Row:
    """Give the one flow of a file of today's layout."""
    return only(written(folder / "one.csv", comtrade_text(row)))


@pytest.mark.parametrize("trailing", [True, False], ids=["48-fields", "47-fields"])
def test_rows_may_end_in_a_comma_that_the_header_lacks(tmp_path: Path, trailing: bool) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, {"cmdCode": "27"}, trailing=trailing))
    assert parsed(path) == ([FLOW, {**FLOW, "product": "27"}], [], {})


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode("latin-1"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.removesuffix("\n").encode(),
        lambda text: text.replace('"', "").encode(),
        lambda text: (text + "\n\n").encode(),
        lambda text: text.replace("\n", "\n\n", 1).encode(),
        lambda text: text.replace("CHN", "CHN ").encode(),
    ],
    ids=["latin-1", "bom", "crlf", "no-last-newline", "no-quotes", "blank-end", "blank-start", "iso-with-a-space"],
)
def test_a_file_reads_the_same_in_every_dress(tmp_path: Path, change: Callable[[str], bytes]) -> None:
    text = comtrade_text({"reporterDesc": "Côte invented"}, {"cmdCode": "27"})
    assert parsed(written(tmp_path / "a.csv", change(text))) == ([FLOW, {**FLOW, "product": "27"}], [], {})


def snake(name: str) -> str:
    """Spell a name as Python does."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name)


@pytest.mark.parametrize("spell", [str.lower, str.upper, snake], ids=["lower", "upper", "snake"])
def test_the_case_of_the_header_does_not_count(tmp_path: Path, spell: Callable[[str], str]) -> None:
    text = comtrade_text({}, names=[spell(name) for name in PLUS])
    assert only(written(tmp_path / "a.csv", text)) == FLOW


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"refMonth": "52"}, {"frequency": "A", "period": "2023"}),
        ({"freqCode": "M", "refMonth": "3", "period": "202303"}, {"frequency": "M", "period": "2023-03"}),
        ({"freqCode": "M", "refMonth": "12", "period": "202312"}, {"frequency": "M", "period": "2023-12"}),
    ],
)
def test_a_period_is_a_year_or_a_month_whatever_ref_month_says(
    tmp_path: Path, row: dict[str, str], said: dict[str, str]
) -> None:
    assert read(tmp_path, **row) == {**FLOW, **said}


@pytest.mark.parametrize(
    ("row", "product"),
    [
        ({"cmdCode": "010121"}, "010121"),
        ({"cmdCode": "01", "aggrLevel": "2"}, "01"),
        ({"cmdCode": "1", "aggrLevel": "2"}, "01"),
        ({"cmdCode": "10121"}, "010121"),
        ({"cmdCode": "9999AA"}, "9999AA"),
        ({"cmdCode": "TOTAL", "aggrLevel": "0"}, "TOTAL"),
        ({"cmdCode": "00", "aggrLevel": "2", "classificationCode": "S4"}, "00"),
        ({"cmdCode": "1", "aggrLevel": "2", "classificationCode": "S4"}, "01"),
        ({"cmdCode": "7", "aggrLevel": "1", "classificationCode": "S4"}, "7"),
    ],
)
def test_products_have_their_leading_zeros(tmp_path: Path, row: dict[str, str], product: str) -> None:
    said = {"product": product, "classification": row.get("classificationCode", "H6")}
    assert read(tmp_path, **row) == {**FLOW, **said}


@pytest.mark.parametrize(
    ("number", "iso3"),
    [
        *(("842", "USA"), ("699", "IND"), ("251", "FRA"), ("757", "CHE"), ("579", "NOR"), ("490", "TWN")),
        *(("0", "WLD"), ("4", "AFG"), ("004", "AFG"), ("398", "KAZ"), ("795", "TKM")),
    ],
)
def test_area_numbers_are_comtrades_own(seeded: Database, number: str, iso3: str) -> None:
    with seeded.read() as connection:
        assert read_areas(connection)[number.lstrip("0")] == iso3


def test_the_world_is_a_partner_of_its_own(tmp_path: Path) -> None:
    assert read(tmp_path, partnerCode="0", partnerISO="W00") == {**FLOW, "partner": "WLD"}


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_the_whole_are_left_out_and_counted(tmp_path: Path, part: str) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, PARTS[part]))
    assert parsed(path) == ([FLOW], [], {f"a part by {part}": 1})


def test_parts_are_kept_beside_the_whole_when_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, *PARTS.values()))
    codes = ("-", "USA_C00_0_0", "WLD_C01_0_0", "WLD_C00_1_0", "WLD_C00_0_2000")
    assert parsed(path, comtrade_format(True)) == ([{**FLOW, "breakdown": code} for code in codes], [], {})


@pytest.mark.parametrize("name", ["partner2Code", "customsCode", "mosCode", "motCode"])
def test_a_blank_part_is_the_whole(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, **{name: ""}) == FLOW


@pytest.mark.parametrize(
    ("row", "weight"),
    [
        ({"qtyUnitCode": "-1", "qty": "0", "netWgt": "0"}, None),
        ({"qtyUnitCode": "-1", "qty": "0", "netWgt": ""}, None),
        ({"netWgt": ""}, None),
        ({"netWgt": "0"}, 0.0),
        ({"netWgt": "74.5"}, 74.5),
        ({"qtyUnitCode": "-1", "netWgt": "74"}, 74.0),
    ],
)
def test_a_missing_weight_is_null_and_not_zero(tmp_path: Path, row: dict[str, str], weight: float | None) -> None:
    estimated = None if weight is None else False
    assert read(tmp_path, **row) == {**FLOW, "net_weight_kg": weight, "net_weight_estimated": estimated}


@pytest.mark.parametrize(("said", "read_as"), [("true", True), ("True", True), ("1", True), ("0", False), ("", None)])
def test_an_estimated_weight_says_so(tmp_path: Path, said: str, read_as: bool | None) -> None:
    assert read(tmp_path, isNetWgtEstimated=said) == {**FLOW, "net_weight_estimated": read_as}


@pytest.mark.parametrize(
    ("said", "status"),
    [("true", "A"), ("True", "A"), ("1", "A"), ("", "A"), ("false", "E"), ("False", "E"), ("0", "E")],
)
def test_what_was_not_reported_is_estimated(tmp_path: Path, said: str, status: str) -> None:
    assert read(tmp_path, isReported=said) == {**FLOW, "obs_status": status}


@pytest.mark.parametrize(
    ("code", "cif", "fob", "flow", "valuation"),
    [
        ("M", "1000", "", "import", "CIF"),
        ("M", "", "1000", "import", "FOB"),
        ("M", "1000", "900", "import", "CIF"),
        ("M", "1100", "1000", "import", "FOB"),
        ("M", "", "", "import", "CIF"),
        ("X", "", "1000", "export", "FOB"),
        ("X", "1000", "", "export", "CIF"),
        ("X", "", "", "export", "FOB"),
        ("RX", "", "", "re_export", "FOB"),
        ("RM", "", "", "re_import", "CIF"),
        ("DX", "", "", "domestic_export", "FOB"),
        ("FM", "", "", "foreign_import", "CIF"),
        ("MIP", "", "", "import_inward_processing", "CIF"),
        ("MOP", "", "", "import_outward_processing", "CIF"),
        ("XIP", "", "", "export_inward_processing", "FOB"),
        ("XOP", "", "", "export_outward_processing", "FOB"),
    ],
)
def test_the_valuation_is_that_of_the_column_or_else_of_the_flow(
    tmp_path: Path, code: str, cif: str, fob: str, flow: str, valuation: str
) -> None:
    said = read(tmp_path, flowCode=code, cifvalue=cif, fobvalue=fob)
    assert said == {**FLOW, "flow": flow, "valuation": valuation}


def test_services_have_no_weight_and_no_valuation(tmp_path: Path) -> None:
    unweighed = {"net_weight_kg": None, "net_weight_estimated": None, "valuation": "unspecified"}
    assert read(tmp_path, **SERVICE) == {**FLOW, **unweighed, "classification": "EB10", "product": "200"}


def test_classifications_are_kept_apart(private_seeded: Database, tmp_path: Path) -> None:
    rows = [{"cmdCode": "00", "aggrLevel": "2", "classificationCode": code} for code in ("H6", "S4")]
    path = written(tmp_path / "a.csv", comtrade_text(*rows, SERVICE))
    assert counts(take(private_seeded, path)) == {"added": 3}
    said = stored(private_seeded, "un-comtrade", "product", "classification", "value_usd")
    assert said == [("00", "H6", 1000), ("00", "S4", 1000), ("200", "EB10", 1000)]


@pytest.mark.parametrize(
    ("code", "flow", "valuation"),
    [("1", "import", "CIF"), ("2", "export", "FOB"), ("3", "re_export", "FOB"), ("4", "re_import", "CIF")],
)
def test_the_layout_of_35_columns_is_read(tmp_path: Path, code: str, flow: str, valuation: str) -> None:
    said = only(written(tmp_path / "a.csv", legacy_text({"Trade Flow Code": code})))
    assert said == {**FLOW, **LEGACY_FLOW, "flow": flow, "valuation": valuation}


def test_the_layout_of_35_columns_has_months_weights_and_costs(tmp_path: Path) -> None:
    row = {"Period": "201003", "Netweight (kg)": "12", "CIF Trade Value (US$)": "700"}
    told = {"frequency": "M", "period": "2010-03", "net_weight_kg": 12.0, "valuation": "CIF"}
    assert only(written(tmp_path / "a.csv", legacy_text(row))) == {**FLOW, **LEGACY_FLOW, **told}


def test_the_layout_of_35_columns_leaves_parts_out(tmp_path: Path) -> None:
    parts = ({"2nd Partner Code": "842"}, {"Customs Proc. Code": "C01"}, {"Mode of Transport Code": "2000"})
    whole = {"2nd Partner Code": "0", "Customs Proc. Code": "C00", "Mode of Transport Code": "0"}
    left_out = {f"a part by {part}": 1 for part in ("second partner", "customs procedure", "transport")}
    found = parsed(written(tmp_path / "a.csv", legacy_text(*parts, whole)))
    assert found == ([{**FLOW, **LEGACY_FLOW}], [], left_out)


@pytest.mark.parametrize(("code", "product"), [("1", "01"), ("27", "27"), ("101", "0101"), ("10121", "010121")])
def test_the_layout_of_12_columns_has_its_lost_zeros_back(tmp_path: Path, code: str, product: str) -> None:
    said = only(written(tmp_path / "a.csv", short_text({"Commodity Code": code})))
    assert said == {**FLOW, **SHORT_FLOW, "product": product}


@pytest.mark.parametrize("name", ["a.csv.gz", "A.CSV.GZ"])
def test_gzip_reads_as_the_plain_file(tmp_path: Path, name: str) -> None:
    assert only(written(tmp_path / name, comtrade_text({}))) == FLOW


def test_every_file_of_an_archive_is_read(private_seeded: Database, tmp_path: Path) -> None:
    old = {name: LEGACY_ROW[name] for name in ("Classification",)}
    members = {
        "today_csv": comtrade_text({}, {"flowCode": "Q", "cmdCode": "27"}),
        "before_txt": legacy_text(old),
        "readme_md": "not a table",
    }
    done = take(private_seeded, zipped(tmp_path / "many.zip", **members), max_bad=0.5)
    assert counts(done) == {"added": 2, "bad": 1}
    assert values(private_seeded) == {"00": 700, "740311": 1000}
    assert reported(tmp_path / "bad.csv") == [("many.zip/today.csv", 3, "flow 'Q' is not known")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("419922543423.509", 419922543424), ("0.4", 0), ("0.5", 1), ("0.49999999999999994", 0), ("2.5", 3)),
        *(("0", 0), ("1e3", 1000), (" 1000 ", 1000), ("4503599627370497", 4503599627370497)),
        ("9007199254740991", 9007199254740991),
    ],
)
def test_values_are_rounded_to_whole_dollars(tmp_path: Path, text: str, value: int) -> None:
    assert read(tmp_path, primaryValue=text, fobvalue="") == {**FLOW, "value_usd": value}


@pytest.mark.parametrize("text", ["9007199254740992", "9007199254740993", "9223372036854775808", "1e300"])
def test_a_value_too_large_to_be_exact_is_refused(tmp_path: Path, text: str) -> None:
    flows, bad, _ = parsed(written(tmp_path / "a.csv", comtrade_text({"primaryValue": text})))
    assert (flows, bad) == ([], [{"line": 2, "reason": f"value '{text}' is no amount"}])
