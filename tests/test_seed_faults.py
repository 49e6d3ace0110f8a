"""What is wrong in a seed file is told with its file and line, all at once, and nothing is published."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from tiny import TINY, edit, line, refused, write

from app.db import Database
from app.errors import SeedInvalid
from app.ingest.seeds import seed

FAULTS = {
    "unknown-table": ("topics:\n  - slug: apples", "topcis:\n  - slug: apples", "topcis:", ["'topcis'", "'topics'"]),
    "unknown-field": (
        "    summary: Round",
        "    sumary: Round",
        "sumary:",
        ["topics.sumary", "did you mean 'summary'"],
    ),
    "missing-field": ("    name: Pears\n", "", "- slug: pears", ["topics.name", "Field required"]),
    "no-code": ("role: expert", "role: sage", "role:", ["experts.role", "'sage'", "'official'"]),
    "unknown-country": ("country: KAZ", "country: KAX", "country: KAX", ["experts.country", "'KAX'", "countries"]),
    "unknown-partner": (
        "partner: CHN\n    flow: export\n    period",
        "partner: ZZ\n    flow: export\n    period",
        "partner: ZZ",
        ["'ZZ'"],
    ),
    "unknown-expert": ("expert: ada", "expert: adda", "expert: adda", ["quotes.expert", "'adda'", "'ada'"]),
    "unknown-topic": (
        "topics: [apples, trade]",
        "topics: [aples]",
        "topics: [aples]",
        ["quotes.topics", "'aples'", "'apples'"],
    ),
    "unknown-figure": (
        "value_usd: tiny-exports",
        "value_usd: tiny-export",
        "evidence:",
        ["'tiny-export'", "'tiny-exports'"],
    ),
    "unknown-evidence-field": (
        "      value_usd: tiny",
        "      value: tiny",
        "evidence:",
        ["no field 'value'", "'value_usd'"],
    ),
    "key-twice": ("name: Ada Apfel", "name: Ada Apfel\n    name: Ada", "name: Ada\n", ["'name' is given twice"]),
    "record-twice": (
        "- slug: pears",
        "- slug: apples",
        "slug: apples\n    name: Pears",
        ["topics", "apples is given twice"],
    ),
    "not-in-exact": (
        'as_stated: "$1.5 billion"',
        'as_stated: "$1.4 billion"',
        "as_stated:",
        ["'$1.4 billion' stands 0 times"],
    ),
    "twice-in-exact": (
        'exact: "exports of $1.5 billion."',
        'exact: "$1.5 billion$1.5 billion"',
        "as_stated:",
        ["stands 2 times"],
    ),
    "not-the-printed-value": (
        "value: 1_500_000_000\n",
        "value: 1_500_000\n",
        "value: ",
        ["prints 1500000000", "value is 1500000"],
    ),
    "no-period": (
        '"2025-01/2025-03"',
        '"2025-02/2025-05"',
        'period: "2025-02',
        ["trade_flows", "is no year, quarter, month"],
    ),
    "year-missing": ('"2025-01/2025-03"', '"--01/--04"', 'period: "--01', ["trade_flows", "is not a period"]),
    "no-month": ('"--01/--04"', '"--01/--13"', 'period: "--01', ["trade_shares", "is not a period"]),
    "float-for-integer": (
        "value_usd: 1_500_000_000\n",
        "value_usd: 1.5e9\n",
        "value_usd: 1.5e9",
        ["trade_flows.value_usd", "integer"],
    ),
    "yes-for-integer": (
        "value_usd: 1_500_000_000\n",
        "value_usd: yes\n",
        "value_usd: yes",
        ["trade_flows.value_usd", "integer"],
    ),
    "words-for-number": (
        "share_percent: 12.5",
        "share_percent: much",
        "share_percent: much",
        ["trade_shares.share_percent", "'much'"],
    ),
    "derived-field": ("share_percent: 12.5", "year: 2025", "year: 2025", ["trade_shares.year", "Extra"]),
    "unclosed-list": ("title: A tiny article", "title: [A", "publisher", []),
    "python-tag": (
        "experts:\n",
        "experts: !!python/name:os.system\n",
        "experts:",
        ["could not determine a constructor"],
    ),
    "undefined-anchor": ("topics: [apples, trade]", "topics: *apples", "topics: *apples", ["undefined alias"]),
    "text-for-record": (
        "topics:\n  - slug: apples",
        "topics:\n  - apples\n  - slug: apples",
        "topics:\n",
        ["'apples'"],
    ),
    "number-for-figure": (
        "evidence:\n      value_usd: tiny-exports",
        "evidence:\n      value_usd: 5",
        "evidence:",
        ["value_usd"],
    ),
    "evidence-field": (
        '{exact: "exports", start: 0, end: 7}',
        '{exact: "exports", begin: 0, end: 7}',
        "evidence:",
        ["evidence of flow"],
    ),
}
"""What is changed in the tiny article, where the line stands that must be named, and what must be said of it."""


@pytest.mark.parametrize(("old", "new", "at", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_file_and_line(
    private_seeded: Database, tiny: Path, old: str, new: str, at: str, told: list[str]
) -> None:
    edit(tiny / "tiny" / "tiny.yaml", old, new)
    said = refused(private_seeded, tiny)
    where = f"tiny/tiny.yaml:{line(TINY.replace(old, new), at)} "
    assert said.startswith(where) and [words for words in told if words not in said] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value_usd: 1_500_000_000\n", "value_usd: -5\n"),
        ("share_percent: 12.5", "share_percent: 101"),
        ("    end: 24", "    end: 25"),
        ("start: 0, end: 7", "start: 0, end: 8"),
        ("    end: 47", "    end: 48"),
        ('text: "Apples are round."', 'text: "Pears are round."'),
        ("- slug: pears", "- slug: ''"),
    ],
    ids=[
        "negative-value",
        "share-over-100",
        "figure-span",
        "evidence-span",
        "quote-span",
        "quote-not-verbatim",
        "blank-slug",
    ],
)
def test_what_the_database_would_refuse_is_told_with_its_file_and_line(
    private_seeded: Database, tiny: Path, old: str, new: str
) -> None:
    edit(tiny / "tiny" / "tiny.yaml", old, new)
    assert re.match(r"tiny/tiny\.yaml:\d+ ", refused(private_seeded, tiny))


def test_what_is_inferred_without_a_note_is_refused(private_seeded: Database, tiny: Path) -> None:
    edit(tiny / "tiny" / "tiny.yaml", "    note: It follows from the date.\n", "")
    said = refused(private_seeded, tiny)
    assert re.match(r"tiny/tiny\.yaml:\d+ trade_flows", said) and "needs a note that says how" in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    value: 1_500_000_000\n", "    value: .nan\n"),
        ('as_stated: "$1.5 billion"\n    value: 1_500_000_000', "as_stated: exports\n    value: .inf"),
        ("value_usd: 1_500_000_000\n", f"value_usd: {10**30}\n"),
        ("start: 30\n    end: 47", "start: 3_000_000_030\n    end: 3_000_000_047"),
        ("language: en", "language: en\n    published_on: 2024-13-01"),
        ("name: Pears", 'name: "Pe\\0ars"'),
        ("name: Pears", 'name: "\\ud800"'),
        ("experts:\n", "2024: []\n\nexperts:\n"),
        ("experts:\n", "? [a, b]\n: c\n\nexperts:\n"),
        ("inferred: [period]", "inferred: [colour]"),
    ],
    ids=[
        "nan",
        "infinity",
        "beyond-64-bit",
        "beyond-32-bit",
        "no-date",
        "nul",
        "surrogate",
        "number",
        "list",
        "inferred",
    ],
)
def test_a_value_that_no_engine_takes_is_told_with_its_file(
    private_seeded: Database, tiny: Path, old: str, new: str
) -> None:
    edit(tiny / "tiny" / "tiny.yaml", old, new)
    assert refused(private_seeded, tiny).startswith("tiny/tiny.yaml:")


def test_every_fault_of_every_folder_is_told_at_once(private_seeded: Database, tiny: Path) -> None:
    edit(tiny / "tiny" / "tiny.yaml", "role: expert", "role: sage")
    edit(tiny / "tiny" / "tiny.yaml", "share_percent: 12.5", "share_percent: much")
    write(tiny / "zeta", TINY.replace("kind: article", "kind: poem").replace("tiny", "zeta"))
    told = [one.split(":")[0] for one in refused(private_seeded, tiny).splitlines()]
    assert told == ["tiny/tiny.yaml", "tiny/tiny.yaml", "zeta/tiny.yaml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"sources:\n  - title: \xe9\n", "tiny/tiny.yaml: it is not UTF-8"),
        (b"", "tiny/tiny.yaml:1 the file holds no mapping of tables to records"),
        (b"- a\n- b\n", "tiny/tiny.yaml:1 the file holds no mapping of tables to records"),
        (b"topics:\n  - {slug: a, name: A}\n", "tiny: no source is declared, and without a source there is no row"),
        (b"topics: [\n", "tiny/tiny.yaml:2 "),
        (b"topics: []\n\ttab: 1\n", "tiny/tiny.yaml:2 "),
        (b"topics: []\n---\ntopics: []\n", "tiny/tiny.yaml:2 "),
        (b"# \xc3\xa9\ntopics: a\0b\n", "tiny/tiny.yaml:2 the character U+0000 is not allowed"),
        (b"\ntopics: " + b"[" * 500_000, "tiny/tiny.yaml:2 nested deeper than 40 levels"),
        (b"topics:\n  " + b"- " * 500_000, "tiny/tiny.yaml:2 nested deeper than 40 levels"),
    ],
    ids=["not-utf-8", "empty", "list", "no-source", "unclosed", "tab", "two-documents", "nul", "deep", "deep-lines"],
)
def test_a_file_that_cannot_be_read_is_told(private_seeded: Database, tiny: Path, text: bytes, told: str) -> None:
    write(tiny / "tiny", text)
    assert refused(private_seeded, tiny).startswith(told)


def test_a_directory_that_is_not_there_is_told(private_seeded: Database, tmp_path: Path) -> None:
    assert refused(private_seeded, tmp_path / "nowhere") == "nowhere: there is no such folder"


def test_a_directory_without_seeds_is_told(private_seeded: Database, tmp_path: Path) -> None:
    assert refused(private_seeded, tmp_path) == f"{tmp_path.name}: no folder in it holds a .yaml file"


def test_a_file_that_speaks_for_an_unknown_source_is_refused(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "tiny", "source: tony\ntopics:\n  - {slug: plums, name: Plums}\n", "zz.yaml")
    assert refused(private_seeded, tiny).startswith("tiny/zz.yaml:3 topics.source: 'tony' is no source of this folder")


def test_a_file_that_speaks_for_a_source_of_another_folder_is_refused(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "tiny", "source: country-codes\ntopics:\n  - {slug: plums, name: Plums}\n", "zz.yaml")
    assert refused(private_seeded, tiny).startswith("tiny/zz.yaml:")


def test_a_record_that_another_source_holds_is_refused(private_seeded: Database, tiny: Path) -> None:
    edit(tiny / "tiny" / "tiny.yaml", "slug: pears", "slug: trade")
    text = TINY.replace("slug: pears", "slug: trade")
    assert refused(private_seeded, tiny).startswith(f"tiny/tiny.yaml:{line(text, 'slug: trade')} ")


def test_a_record_that_two_folders_hold_is_refused(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "zeta", TINY[: TINY.index("figures:")].replace("tiny", "zeta") + "topics: [{slug: pears, name: P}]\n")
    assert refused(private_seeded, tiny).startswith("zeta/tiny.yaml:")


def test_a_source_that_two_folders_declare_is_refused(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "zeta", TINY[: TINY.index("figures:")])
    assert refused(private_seeded, tiny).startswith("zeta/tiny.yaml:")


def test_an_alias_with_a_bar_is_not_published_again_and_again(private_seeded: Database, tiny: Path) -> None:
    programme = "programmes: [{slug: p, name: P, summary: S, aliases: ['a|b']}]"
    edit(tiny / "tiny" / "tiny.yaml", "experts:\n", f"{programme}\nexperts:\n")
    with suppress(SeedInvalid):
        seed(private_seeded, tiny)
        assert seed(private_seeded, tiny) == []


CSV_FAULTS = {
    "unknown-field": ("code,level,parent,descr\n", 1, ["products has no field 'descr'", "'description'"]),
    "field-twice": ("code,level,level\n", 1, ["field 'level' is given twice"]),
    "no-header": ("", 1, ["the file holds no header"]),
    "blank-field": ("code,,level\n", 1, ["products has no field ''"]),
    "too-few": ("code,level,parent,description\n98,2,TOTAL\n", 2, ["3 cells, the header 4"]),
    "too-many": ("code,level,parent,description\n98,2,TOTAL,a,b\n", 2, ["5 cells, the header 4"]),
    "blank-line": ("code,level,parent,description\n\n98,2,TOTAL,a\n", 2, ["0 cells"]),
    "missing": ("code,level,parent,description\n98,2,TOTAL,\n", 2, ["products.description: Field required"]),
    "no-number": ("code,level,parent,description\n98,two,TOTAL,a\n", 2, ["products.level", "'two'"]),
    "fraction": ("code,level,parent,description\n98,2.0,TOTAL,a\n", 2, ["products.level", "'2.0'"]),
    "huge": (f"code,level,parent,description\n98,{10**18},TOTAL,a\n", 2, ["products.level"]),
    "control": ("code,level,parent,description\n98,2,TOTAL,a\0b\n", 2, ["products.description", "control"]),
    "unclosed": ('code,level,parent,description\n98,2,TOTAL,"a\n', 2, ["end of data"]),
    "after-quote": ('code,level,parent,description\n98,2,TOTAL,"a"b\n', 2, ["expected after"]),
    "twice": ("code,level,parent,description\n98,2,TOTAL,a\n98,2,TOTAL,a\n", 3, ["products: 98 is given twice"]),
    "after-long-cell": ('code,level,parent,description\n98,2,TOTAL,"a\n\nb"\n97,2\n', 5, ["2 cells"]),
    "at-long-cell": ('code,level,parent,description\n98,2,TOTAL,a\n96,x,TOTAL,"a\nb"\n', 3, ["'x'"]),
    "refused-by-the-database": ("code,level,parent,description\n98,3,TOTAL,a\n", 2, ["products", "level"]),
}
"""A table of products in CSV, the line that must be named, and what must be said of it."""


@pytest.mark.parametrize(("text", "at", "told"), CSV_FAULTS.values(), ids=CSV_FAULTS)
def test_a_fault_in_csv_is_told_with_its_file_and_line(
    private_seeded: Database, tiny: Path, text: str, at: int, told: list[str]
) -> None:
    write(tiny / "tiny", text, "products.csv")
    said = refused(private_seeded, tiny)
    assert said.startswith(f"tiny/products.csv:{at} ") and [words for words in told if words not in said] == []


def test_csv_that_is_not_utf_8_is_told(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "tiny", b"code\n\xe9\n", "products.csv")
    assert refused(private_seeded, tiny) == "tiny/products.csv: it is not UTF-8"


def test_csv_named_for_no_table_is_told(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "tiny", "code,level\n98,2\n", "produkts.csv")
    assert refused(private_seeded, tiny) == "tiny/produkts.csv:1 'produkts' is no table; like it is 'products'"


def test_a_folder_of_csv_alone_has_no_source(private_seeded: Database, tmp_path: Path) -> None:
    write(tmp_path / "bare", "code,level,parent,description\n98,2,TOTAL,a\n", "products.csv")
    assert refused(private_seeded, tmp_path) == "bare: no source is declared, and without a source there is no row"
