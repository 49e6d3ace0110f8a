"""Rows and files that are wrong: each is told with its place, costs no other, and too many cost the import."""

import gzip
from pathlib import Path

import pytest
from conftest import Workshop
from trade_files import (
    FLOW,
    PLUS,
    Row,
    baci_text,
    comtrade_text,
    counts,
    everything,
    last_release,
    parsed,
    partners,
    reported,
    run_command,
    take,
    take_baci,
    values,
    written,
    zipped,
)

from app.db import Database
from app.errors import ImportInvalid, TooManyBadRows
from app.ingest.importer import AGAIN, TWO_VALUES, comtrade_format

PLAIN = comtrade_text({})
LINE = PLAIN.splitlines()[1]
BAD_ROWS = {
    "reporter": ({"reporterCode": "12345"}, "reporter '12345' is no area that is known"),
    "reporter-blank": ({"reporterCode": ""}, "reporter '' is no area that is known"),
    "reporter-letters": ({"reporterCode": "KAZ"}, "reporter 'KAZ' is no area that is known"),
    "partner": ({"partnerCode": "-1"}, "partner '-1' is no area that is known"),
    "flow": ({"flowCode": "Q"}, "flow 'Q' is not known"),
    "flow-blank": ({"flowCode": ""}, "flow '' is not known"),
    "flow-total": ({"flowCode": "T"}, "flow 'T' is not known"),
    "type": ({"typeCode": "Z"}, "type 'Z' is neither goods C nor services S"),
    "value-blank": ({"primaryValue": ""}, "value '' is missing"),
    "value-negative": ({"primaryValue": "-1"}, "value '-1' is no amount"),
    "value-text": ({"primaryValue": "1 000"}, "value '1 000' is no amount"),
    "value-nan": ({"primaryValue": "NaN"}, "value 'NaN' is no amount"),
    "value-inf": ({"primaryValue": "inf"}, "value 'inf' is no amount"),
    "weight-negative": ({"netWgt": "-0.1"}, "weight '-0.1' is no amount"),
    "weight-nan": ({"netWgt": "nan"}, "weight 'nan' is no amount"),
    "weight-inf": ({"netWgt": "Infinity"}, "weight 'Infinity' is no amount"),
    "hs-length": ({"cmdCode": "7403110"}, "product '7403110' is no HS code of 2, 4 or 6 characters"),
    "hs-letters": ({"cmdCode": "AG6"}, "product 'AG6' is no HS code of 2, 4 or 6 characters"),
    "hs-blank": ({"cmdCode": ""}, "product '' is no HS code of 2, 4 or 6 characters"),
    "code": ({"cmdCode": "7 1", "classificationCode": "S4"}, "product '7 1' is no code"),
    "classification": ({"classificationCode": "?"}, "classification '?' is no code"),
    "year-zero": ({"refYear": "0", "period": "0000"}, "period '0000' is not from 1900 to 2099"),
    "year-late": ({"refYear": "2100", "period": "2100"}, "period '2100' is not from 1900 to 2099"),
    "year-other": ({"refYear": "2022"}, "year '2022' is not that of the period"),
    "period": ({"period": "202313", "freqCode": ""}, "period '202313' is no year and no month"),
    "period-blank": ({"period": ""}, "period '' is no year and no month"),
    "annual-month": ({"period": "202303"}, "period '202303' is no year, and the row is annual"),
    "monthly-year": ({"freqCode": "M"}, "period '2023' is no month, and the row is monthly"),
    "transport": ({"motCode": "21\x000"}, "transport '21\x000' is no code"),
    "customs": ({"customsCode": "C 1"}, "customs procedure 'C 1' is no code"),
    "frequency": ({"freqCode": "W"}, "frequency 'W' is neither A nor M"),
}
BAD_LINES = {
    "too-few": (",".join(LINE.split(",")[:20]), "20 fields, not 48"),
    "too-many": (LINE + "x,,", "50 fields, not 48"),
    "half-a-row": (LINE[:60].rstrip('"'), "the line is no CSV: unexpected end of data"),
    "open-quote": (
        LINE.replace('"Invented copper"', '"Invented copper'),
        "the line is no CSV: ',' expected after '\"'",
    ),
    "open-at-the-end": (LINE.removesuffix(",") + ',"', "the line is no CSV: unexpected end of data"),
}


@pytest.mark.parametrize("fault", BAD_ROWS)
def test_a_bad_row_is_told_and_costs_no_other(tmp_path: Path, fault: str) -> None:
    row, reason = BAD_ROWS[fault]
    path = written(tmp_path / "a.csv", comtrade_text({"cmdCode": "01"}, row, {"cmdCode": "02"}))
    good = [{**FLOW, "product": code} for code in ("01", "02")]
    assert parsed(path, comtrade_format(all_breakdowns=True)) == (good, [{"line": 3, "reason": reason}], {})


@pytest.mark.parametrize("fault", BAD_LINES)
def test_a_broken_line_is_told_and_costs_no_other(tmp_path: Path, fault: str) -> None:
    line, reason = BAD_LINES[fault]
    lines = comtrade_text({"cmdCode": "01"}, {}, {"cmdCode": "02"}).splitlines()
    lines[2] = line
    path = written(tmp_path / "a.csv", "\n".join(lines))
    good = [{**FLOW, "product": code} for code in ("01", "02")]
    assert parsed(path) == (good, [{"line": 3, "reason": reason}], {})


def test_a_broken_first_line_costs_no_other(tmp_path: Path) -> None:
    lines = comtrade_text({}, {"cmdCode": "01"}, {"cmdCode": "02"}).splitlines()
    lines[1] = "x"
    good = [{**FLOW, "product": code} for code in ("01", "02")]
    found = parsed(written(tmp_path / "a.csv", "\n".join(lines)))
    assert found == (good, [{"line": 2, "reason": "1 fields, not 48"}], {})


@pytest.mark.parametrize("blank", ["", " ", "\r"])
def test_a_blank_line_is_no_row(tmp_path: Path, blank: str) -> None:
    lines = comtrade_text({}, {"flowCode": "Q"}).splitlines()
    path = written(tmp_path / "a.csv", "\n".join([*lines[:2], blank, *lines[2:]]))
    assert parsed(path) == ([FLOW], [{"line": 4, "reason": "flow 'Q' is not known"}], {})


def test_the_same_row_again_is_left_out(private_seeded: Database, tmp_path: Path) -> None:
    rows: list[Row] = [{}, {"cmdCode": "27"}, {}, {}]
    done = take(private_seeded, written(tmp_path / "a.csv", comtrade_text(*rows)))
    assert (counts(done), dict(done.left_out)) == ({"added": 2, "left_out": 2}, {AGAIN: 2})
    assert values(private_seeded) == {"27": 1000, "740311": 1000}


def test_the_same_key_with_two_values_is_bad_twice(private_seeded: Database, tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", comtrade_text({"primaryValue": "1"}, {"cmdCode": "27"}))
    done = take(private_seeded, first, written(tmp_path / "b.csv", comtrade_text({"primaryValue": "2"})), max_bad=0.7)
    assert counts(done) == {"added": 1, "bad": 2}
    assert values(private_seeded) == {"27": 1000}
    assert reported(tmp_path / "bad.csv") == [("a.csv", 2, TWO_VALUES), ("b.csv", 2, TWO_VALUES)]


def test_rows_of_two_values_are_bad_even_where_one_is_there_twice(private_seeded: Database, tmp_path: Path) -> None:
    rows: list[Row] = [{}, {}, {"primaryValue": "7"}, {"cmdCode": "27"}]
    done = take(private_seeded, written(tmp_path / "a.csv", comtrade_text(*rows)), max_bad=0.8)
    assert counts(done) == {"added": 1, "bad": 3}


def test_few_bad_rows_are_told_and_the_rest_is_published(private_seeded: Database, tmp_path: Path) -> None:
    rows = [*partners(999), {"flowCode": "Q", "reporterDesc": "=1+1"}]
    done = take(private_seeded, written(tmp_path / "a.csv", comtrade_text(*rows)))
    assert counts(done) == {"added": 999, "bad": 1}
    assert last_release(private_seeded)["rows_rejected"] == 1
    assert reported(tmp_path / "bad.csv") == [("a.csv", 1001, "flow 'Q' is not known")]


def test_the_report_has_file_line_reason_and_row(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, {"flowCode": "Q"}) + "x,y\n")
    take(private_seeded, path, max_bad=0.7)
    head, *rows = (tmp_path / "bad.csv").read_text().splitlines()
    assert head == "file,line,reason,row"
    assert sorted(row[:35] for row in rows) == [
        "a.csv,3,flow 'Q' is not known,type=",
        'a.csv,4,"2 fields, not 48","x,y"',
    ]


def test_no_report_is_written_where_no_row_is_bad(private_seeded: Database, tmp_path: Path) -> None:
    done = take(private_seeded, written(tmp_path / "a.csv", PLAIN))
    assert (done.report, (tmp_path / "bad.csv").exists()) == (None, False)


def test_too_many_bad_rows_publish_nothing(private_seeded: Database, tmp_path: Path) -> None:
    before = everything(private_seeded)
    path = written(tmp_path / "a.csv", comtrade_text(*partners(998), {"flowCode": "Q"}, {"flowCode": "T"}))
    with pytest.raises(TooManyBadRows, match=r"2 of 1000 rows are bad, 0\.200%, and --max-bad allows 0\.100%"):
        take(private_seeded, path)
    assert everything(private_seeded) == before
    assert [line for _, line, _ in reported(tmp_path / "bad.csv")] == [1000, 1001]


def test_a_command_with_too_many_bad_rows_fails(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, {"flowCode": "Q"}))
    status, out, errors = run_command(private_seeded, "import", "comtrade", path, "--report", tmp_path / "bad.csv")
    told = f"nothing was published; {tmp_path / 'bad.csv'} tells each with its line"
    assert (status, out) == (1, "")
    assert errors.strip() == f"{TooManyBadRows.code} 1 of 2 rows are bad, 50.000%, and --max-bad allows 0.100%: {told}"


def test_a_command_tells_every_row(private_seeded: Database, tmp_path: Path) -> None:
    rows: list[Row] = [{}, {}, {"flowCode": "Q"}, {"motCode": "1000"}, {"cmdCode": "27"}]
    path, bad = written(tmp_path / "a.csv", comtrade_text(*rows)), tmp_path / "bad.csv"
    status, out, _ = run_command(private_seeded, "import", "comtrade", path, "--max-bad", "0.5", "--report", bad)
    number = last_release(private_seeded)["id"]
    assert (status, out) == (
        0,
        "read 5 rows: 2 added, 0 revised, 0 unchanged, 2 left out, 1 bad\n"
        "  left out: 1 rows, a part by transport\n"
        "  left out: 1 rows, the same row again\n"
        f"  bad rows with file, line and reason: {bad}\npublished release {number}\n",
    )


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Give files that are no import, each with what is said of it."""
    packed = gzip.compress(comtrade_text(*partners(300)).encode())
    no_value = ",".join(name for name in PLUS if name != "primaryValue")
    cut = zipped(folder / "whole.zip", a_csv=PLAIN).read_bytes()[:-30]
    locked = bytearray(zipped(folder / "whole.zip", a_csv=PLAIN).read_bytes())
    locked[locked.find(b"PK\x01\x02") + 8] |= 1  # needs a password, it says
    return {
        "other": (written(folder / "a.csv", "year,country,value\n1,2,3\n"), "a.csv: the header is of no UN Comtrade"),
        "no-value": (written(folder / "b.csv", f"{no_value}\n"), "b.csv: .*it lacks primaryValue"),
        "twice": (written(folder / "c.csv", f"{','.join(PLUS)},period\n"), "c.csv: the header names period twice"),
        "empty": (written(folder / "d.csv", ""), "d.csv: the first line names no columns"),
        "header": (written(folder / "e.csv", PLAIN.splitlines()[0]), "e.csv: there is no row"),
        "blank": (written(folder / "n.csv", PLAIN.splitlines()[0] + "\n\n\n"), "n.csv: there is no row"),
        "no-lines": (written(folder / "f.csv", b"\x00\x01\x02" * 9), "f.csv: the file is no text in UTF-8 or"),
        "utf-16": (written(folder / "g.csv", PLAIN.encode("utf-16")), "g.csv: the file is no text in UTF-8 or"),
        "endless": (written(folder / "h.csv", PLAIN + "x" * 2**21), "h.csv: a line after line 2 is longer"),
        "cut": (plain(folder / "i.csv.gz", packed[:-9]), "i.csv.gz: the archive is broken or cut off"),
        "half": (plain(folder / "j.csv.gz", packed[: len(packed) // 2]), "j.csv.gz: the archive is broken or cut off"),
        "no-gzip": (plain(folder / "k.csv.gz", PLAIN.encode()), "k.csv.gz: the archive is broken or cut off"),
        "no-table": (zipped(folder / "l.zip", readme_md="x"), "l.zip: there is no .csv or .txt file"),
        "cut-zip": (plain(folder / "m.zip", cut), "m.zip: the archive is broken or cut off"),
        "locked": (plain(folder / "p.zip", bytes(locked)), "p.zip: a.csv is encrypted: unpack it first"),
        "member": (zipped(folder / "o.zip", a_csv=PLAIN, b_csv="a,b\n"), "o.zip/b.csv: the header is of no UN"),
    }


def plain(path: Path, data: bytes) -> Path:
    """Write bytes as they are."""
    path.write_bytes(data)
    return path


FILES = (
    *("other", "no-value", "twice", "empty", "header", "blank", "no-lines", "utf-16", "endless", "cut", "half"),
    *("no-gzip", "no-table", "cut-zip", "locked", "member"),
)


@pytest.fixture(scope="module")
def shared(engine: str, workshop: Workshop) -> Database:
    """Give a seeded database that only refused imports are tried on."""
    return workshop.copy(engine)


@pytest.mark.parametrize("which", FILES)
def test_a_file_that_is_none_is_named_and_publishes_nothing(shared: Database, tmp_path: Path, which: str) -> None:
    before = everything(shared)
    path, said = broken(tmp_path)[which]
    good = written(tmp_path / "good.csv", comtrade_text({"cmdCode": "27"}))
    with pytest.raises(ImportInvalid, match=said):
        take(shared, *([path] if which in ("header", "blank") else [good, path]))
    assert everything(shared) == before


def test_a_baci_file_is_no_comtrade_file_nor_the_other_way(shared: Database, tmp_path: Path) -> None:
    with pytest.raises(ImportInvalid, match="it lacks reporterCode, partnerCode, flowCode"):
        take(shared, written(tmp_path / "a.csv", baci_text({})))
    with pytest.raises(ImportInvalid, match="the header is not BACI's t,i,j,k,v,q; it lacks t, i, j, k, v, q"):
        take_baci(shared, written(tmp_path / "b.csv", PLAIN))
