"""Seed files are published whole or not at all, each folder as one release of what changed in it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, SEEDS
from sqlalchemy import select
from tiny import TINY, edit, newest, refused, release_row, rows_of, touched, value, write

from app import db, schema
from app.db import Database
from app.errors import PublishBusy
from app.ingest import seeds
from app.ingest.seeds import seed
from app.models import (
    Base,
    CountryGroup,
    Evidence,
    Figure,
    Observation,
    Programme,
    Release,
    SearchEntry,
    Topic,
    TradeFlow,
    TradeShare,
)

LATER = datetime(2026, 2, 1, tzinfo=UTC)


def test_each_folder_is_one_release_and_reference_is_the_first(seeded: Database) -> None:
    folders = sorted((path.name for path in SEEDS.iterdir()), key=lambda name: (name != "reference", name))
    with seeded.read() as connection:
        found = connection.execute(select(Release.id, Release.source).order_by(Release.id)).all()
    assert found == list(enumerate(folders, 1))


def test_a_release_counts_the_rows_it_added(seeded: Database) -> None:
    told = {number: release_row(seeded, number)["rows_added"] for number in range(1, newest(seeded) + 1)}
    assert told == {number: sum(map(len, touched(seeded, "release", number).values())) for number in told}


def test_a_release_has_the_time_it_was_given(seeded: Database) -> None:
    assert release_row(seeded, 1)["published_at"] == NOW


def test_a_release_without_a_given_time_has_whole_seconds_of_now(private_seeded: Database, tiny: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    (number,) = seed(private_seeded, tiny)
    moment = release_row(private_seeded, number)["published_at"]
    assert before <= moment <= datetime.now(UTC) and moment.microsecond == 0


def test_seeding_again_publishes_nothing(private_seeded: Database) -> None:
    before = rows_of(private_seeded)
    assert seed(private_seeded, SEEDS, now=LATER) == []
    assert rows_of(private_seeded) == before


def test_both_engines_hold_the_same_rows(seeded_both: dict[str, Database]) -> None:
    assert rows_of(seeded_both["sqlite"]) == rows_of(seeded_both["postgres"])


def test_a_second_article_is_a_second_folder(private_seeded: Database, tiny: Path) -> None:
    number = newest(private_seeded) + 1
    assert seed(private_seeded, tiny, now=LATER) == [number]
    assert release_row(private_seeded, number)["source"] == "tiny"


def test_a_second_article_beside_the_first_leaves_its_rows_alone(private_seeded: Database, copied: Path) -> None:
    write(copied / "tiny", TINY)
    (number,) = seed(private_seeded, copied, now=LATER)
    assert touched(private_seeded, "superseded_by", number) == {}


def test_a_second_article_adds_its_own_rows(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny, now=LATER)
    assert touched(private_seeded, "release", number) == {
        "sources": ["tiny"],
        "figures": ["tiny-exports"],
        "topics": ["apples", "pears"],
        "experts": ["ada"],
        "quotes": ["q-ada"],
        "trade_flows": ["KAZ/CHN/export/TOTAL/-/Q/2025-Q1/tiny/-/-"],
        "trade_shares": ["tiny-share"],
        "evidence": [
            "trade_flows/KAZ.CHN.export.TOTAL.-.Q.2025-Q1.tiny.-/flow/0",
            "trade_flows/KAZ.CHN.export.TOTAL.-.Q.2025-Q1.tiny.-/value_usd/0",
        ],
        "search_entries": [
            "experts/ada",
            "figures/tiny-exports",
            "quotes/q-ada",
            "sources/tiny",
            "topics/apples",
            "topics/pears",
        ],
    }


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order-mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_csv_is_read_as_yaml_is(private_seeded: Database, tiny: Path, mark: str, end: str) -> None:
    lines = ["slug,name,summary,aliases", 'ring,"Ring, the",Round.,Ring Road;R1', "line,Line,Long.,"]
    write(tiny / "tiny", mark + end.join(lines) + end, "programmes.csv")
    (number,) = seed(private_seeded, tiny)
    table = Programme.__table__
    with private_seeded.read() as connection:
        query = select(table.c.slug, table.c.name, table.c.summary, table.c.aliases, table.c.source)
        found = connection.execute(query.where(table.c.release == number).order_by(table.c.slug)).all()
    assert [tuple(row) for row in found] == [
        ("line", "Line", "Long.", (), "tiny"),
        ("ring", "Ring, the", "Round.", ("Ring Road", "R1"), "tiny"),
    ]


def test_a_folder_of_two_files_is_one_release(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "tiny", "topics:\n  - {slug: plums, name: Plums}\n", "more.yaml")
    (number,) = seed(private_seeded, tiny)
    assert value(private_seeded, Topic.source, number, Topic.slug == "plums") == "tiny"


def test_a_file_may_name_which_source_of_its_folder_it_speaks_for(private_seeded: Database, tiny: Path) -> None:
    other = "sources:\n  - {slug: other, kind: dataset, title: Other, publisher: Nobody, language: en}\n"
    write(tiny / "tiny", f"source: other\n{other}topics:\n  - {{slug: plums, name: Plums}}\n", "zz.yaml")
    (number,) = seed(private_seeded, tiny)
    assert value(private_seeded, Topic.source, number, Topic.slug == "plums") == "other"


def test_a_folder_without_yaml_is_passed_over(private_seeded: Database, tiny: Path) -> None:
    write(tiny / "notes", "nothing", "readme.txt")
    assert len(seed(private_seeded, tiny)) == 1


def test_a_period_gives_days_frequency_and_year(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny)
    columns = (TradeFlow.period, TradeFlow.frequency, TradeFlow.year, TradeFlow.period_start, TradeFlow.period_end)
    found = [str(value(private_seeded, column, number, TradeFlow.source == "tiny")) for column in columns]
    assert found == ["2025-Q1", "Q", "2025", "2025-01-01", "2025-03-31"]


def test_months_of_an_unknown_year_are_kept_as_words(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny)
    columns = (TradeShare.period, TradeShare.frequency, TradeShare.year, TradeShare.period_start)
    found = [value(private_seeded, column, number, TradeShare.slug == "tiny-share") for column in columns]
    assert found == ["--01/--04", "YTD", None, None]


def test_a_flow_without_a_period_has_the_sentinel(seeded: Database) -> None:
    with seeded.read() as connection:
        rows = connection.execute(
            select(TradeFlow.frequency, TradeFlow.year, TradeFlow.period_start).where(TradeFlow.period == "-")
        ).all()
    assert rows and set(rows) == {("-", None, None)}


def test_a_figure_gets_the_interval_of_its_words(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny)
    found = [
        value(private_seeded, edge, number, Figure.id == "tiny-exports")
        for edge in (Figure.lower, Figure.value, Figure.upper)
    ]
    assert found == [1_450_000_000, 1_500_000_000, 1_550_000_000]


def test_a_record_is_inferred_when_it_names_what_was(seeded: Database) -> None:
    with seeded.read() as connection:
        rows = connection.execute(select(Observation.method, Observation.inferred)).all()
    assert {(method == "inferred", bool(inferred)) for method, inferred in rows} == {(True, True), (False, False)}


def test_evidence_by_a_figure_has_the_words_of_the_figure(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny)
    assert (
        value(private_seeded, Evidence.exact, number, Evidence.figure == "tiny-exports") == "exports of $1.5 billion."
    )


def test_every_figure_supports_a_field(seeded: Database) -> None:
    with seeded.read() as connection:
        query = select(Figure.id).where(Figure.id.not_in(select(Evidence.figure).where(Evidence.figure.is_not(None))))
        assert connection.execute(query).scalars().all() == []


def test_a_changed_record_is_superseded_alone(private_seeded: Database, copied: Path) -> None:
    edit(copied / "reference" / "groups.yaml", "aliases: [EEU]", "aliases: [EEU, Eurasian Union]")
    (number,) = seed(private_seeded, copied, now=LATER)
    assert touched(private_seeded, "superseded_by", number) == {"country_groups": ["eaeu"]}


def test_a_changed_record_is_added_alone(private_seeded: Database, copied: Path) -> None:
    edit(copied / "reference" / "groups.yaml", "aliases: [EEU]", "aliases: [EEU, Eurasian Union]")
    (number,) = seed(private_seeded, copied, now=LATER)
    assert touched(private_seeded, "release", number) == {"country_groups": ["eaeu"]}


def test_an_old_release_stays_readable_after_a_change(private_seeded: Database, copied: Path) -> None:
    old = newest(private_seeded)
    edit(copied / "reference" / "groups.yaml", "aliases: [EEU]", "aliases: [EEU, Eurasian Union]")
    (new,) = seed(private_seeded, copied, now=LATER)
    found = [value(private_seeded, CountryGroup.aliases, at, CountryGroup.slug == "eaeu") for at in (old, new)]
    assert found == [("EEU",), ("EEU", "Eurasian Union")]


def test_a_change_of_words_changes_the_search_entry_too(private_seeded: Database, tiny: Path) -> None:
    (old,) = seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "Round fruit.", "Red fruit.")
    (new,) = seed(private_seeded, tiny)
    apples = (SearchEntry.record == "topics", SearchEntry.record_key == "apples")
    found = [value(private_seeded, SearchEntry.words, at, *apples) for at in (old, new)]
    assert found == [" apples round fruit ", " apples red fruit "]


def test_a_release_counts_the_rows_it_changed_and_removed(private_seeded: Database, tiny: Path) -> None:
    seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "Round fruit.", "Red fruit.")
    edit(tiny / "tiny" / "tiny.yaml", "  - slug: pears\n    name: Pears\n", "")
    (number,) = seed(private_seeded, tiny)
    row = release_row(private_seeded, number)
    assert (row["rows_added"], row["rows_changed"], row["rows_removed"], row["rows_rejected"]) == (0, 2, 2, 0)


def test_a_removed_record_ends(private_seeded: Database, tiny: Path) -> None:
    (old,) = seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "  - slug: pears\n    name: Pears\n", "")
    (new,) = seed(private_seeded, tiny)
    assert [value(private_seeded, Topic.name, at, Topic.slug == "pears") for at in (old, new)] == ["Pears", None]


def test_a_removed_record_ends_alone(private_seeded: Database, tiny: Path) -> None:
    seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "  - slug: pears\n    name: Pears\n", "")
    (number,) = seed(private_seeded, tiny)
    assert touched(private_seeded, "superseded_by", number) == {"topics": ["pears"], "search_entries": ["topics/pears"]}


def test_a_record_that_comes_back_is_a_new_row(private_seeded: Database, tiny: Path) -> None:
    (first,) = seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "  - slug: pears\n    name: Pears\n", "")
    (second,) = seed(private_seeded, tiny)
    write(tiny / "tiny", TINY)
    (third,) = seed(private_seeded, tiny)
    found = [value(private_seeded, Topic.release, at, Topic.slug == "pears") for at in (first, second, third)]
    assert found == [first, None, third]


def test_moved_words_supersede_only_the_evidence(private_seeded: Database, tiny: Path) -> None:
    seed(private_seeded, tiny)
    edit(
        tiny / "tiny" / "tiny.yaml", '{exact: "exports", start: 0, end: 7}', '{exact: "exports", start: 100, end: 107}'
    )
    (number,) = seed(private_seeded, tiny)
    assert touched(private_seeded, "release", number) == {
        "evidence": ["trade_flows/KAZ.CHN.export.TOTAL.-.Q.2025-Q1.tiny.-/flow/100"]
    }


def test_another_order_of_records_publishes_nothing(private_seeded: Database, tiny: Path) -> None:
    seed(private_seeded, tiny)
    edit(tiny / "tiny" / "tiny.yaml", "  - slug: pears\n    name: Pears\n", "")
    edit(tiny / "tiny" / "tiny.yaml", "topics:\n", "topics:\n  - slug: pears\n    name: Pears\n")
    assert seed(private_seeded, tiny) == []


def test_a_changed_comment_publishes_nothing(private_seeded: Database, tiny: Path) -> None:
    seed(private_seeded, tiny)
    write(tiny / "tiny", f"# Read again.\n{TINY}")
    assert seed(private_seeded, tiny) == []


def test_a_folder_that_is_not_given_keeps_its_rows(private_seeded: Database, tiny: Path) -> None:
    (number,) = seed(private_seeded, tiny)
    assert touched(private_seeded, "superseded_by", number) == {}


@pytest.mark.parametrize(
    ("old", "new"), [("role: expert", "role: sage"), ("country: KAZ", "country: KAX"), ("topics:\n", "topics: [\n")]
)
def test_nothing_is_published_when_one_folder_fails(
    engine: str, make_database: Callable[[str], Database], tiny: Path, old: str, new: str
) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    (tiny / "tiny" / "tiny.yaml").write_text(TINY.replace(old, new, 1))
    shutil.copytree(SEEDS / "reference", tiny / "reference")
    refused(database, tiny)
    assert newest(database) == 0


def test_a_failure_while_the_second_folder_is_published_leaves_nothing(
    engine: str, make_database: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    empty, publish = rows_of(database), seeds.publish

    def fail_after_the_first(connection: Any, dataset: Any, now: Any) -> int | None:
        number = publish(connection, dataset, now)
        if dataset.name != "reference":
            raise RuntimeError("the power went out")
        return number

    monkeypatch.setattr(seeds, "publish", fail_after_the_first)
    with pytest.raises(RuntimeError):
        seed(database, SEEDS)
    assert rows_of(database) == empty


def test_seeding_goes_well_after_a_failure(
    engine: str, make_database: Callable[[str], Database], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(seeds, "publish", lambda *_: 1 / 0)
        seed(database, SEEDS)
    assert seed(database, SEEDS)[0] == 1


def test_a_writer_that_publishes_keeps_another_out(
    private_seeded: Database, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "LOCK_WAIT", 0.05)
    other = Database(private_seeded.settings)
    with private_seeded.publishing(), pytest.raises(PublishBusy):
        seed(other, tiny)
    other.close()


def test_a_writer_that_has_ended_lets_the_next_one_in(private_seeded: Database, tiny: Path) -> None:
    other = Database(private_seeded.settings)
    with private_seeded.publishing():
        pass
    assert len(seed(other, tiny)) == 1
    other.close()


def test_a_reader_goes_on_while_another_publishes(private_seeded: Database, tiny: Path) -> None:
    before = newest(private_seeded)
    other = Database(private_seeded.settings)
    with other.publishing() as connection:
        seeds.publish(connection, seeds.read_seeds(tiny)[0].dataset, LATER)
        assert newest(private_seeded) == before
    assert newest(private_seeded) == before + 1
    other.close()


def test_a_reader_cannot_write(seeded: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"), seeded.read() as connection:
        connection.execute(Base.metadata.tables["topics"].delete())
