"""Taking an import back: its rows end, what it revised holds again, and every release stays readable."""

from pathlib import Path

import pytest
from conftest import serve
from sqlalchemy import select
from trade_files import (
    Row,
    baci_text,
    comtrade_text,
    counts,
    last_release,
    run_command,
    take,
    take_baci,
    values,
    written,
)

from app.db import Database
from app.errors import CannotWithdraw
from app.ingest.withdraw import withdraw
from app.models import SearchEntry, Source

COMTRADE = "un-comtrade"


@pytest.fixture
def base(private_seeded: Database) -> int:
    """Give the number of the newest release of the seeds."""
    return int(last_release(private_seeded)["id"])


def publish(database: Database, folder: Path, **told: int) -> int:
    """Import a file with the value of each product, such as P01=5; give the release."""
    rows: list[Row] = [{"cmdCode": code[1:], "primaryValue": str(value)} for code, value in told.items()]
    name = "_".join(f"{code}-{value}" for code, value in told.items())
    done = take(database, written(folder / f"{name}.csv", comtrade_text(*rows)))
    assert done.release
    return done.release


def sources(database: Database, slug: str = COMTRADE) -> tuple[int, int]:
    """Count the current records of a source, and its entries in the search."""
    with database.read() as connection:
        found = [
            connection.execute(select(model).where(model.source == slug, model.superseded_by.is_(None))).all()
            for model in (Source, SearchEntry)
        ]
    return len(found[0]), len(found[1])


def test_a_withdrawn_import_says_nothing_and_its_release_stays(
    private_seeded: Database, tmp_path: Path, base: int
) -> None:
    number = publish(private_seeded, tmp_path, P01=1, P02=2)
    assert sources(private_seeded)[0] == 1
    assert withdraw(private_seeded, number) == number + 1
    assert (values(private_seeded), sources(private_seeded)) == ({}, (0, 0))
    told = last_release(private_seeded)
    assert {name: told[name] for name in ("id", "kind", "source", "withdraws", "sha256", "rows_changed")} == {
        **{"id": base + 2, "kind": "withdrawal", "source": COMTRADE, "withdraws": number},
        **{"sha256": None, "rows_changed": 0},
    }


def test_every_release_still_answers_after_a_withdrawal(private_seeded: Database, tmp_path: Path) -> None:
    first = publish(private_seeded, tmp_path, P01=1, P02=2)
    second = publish(private_seeded, tmp_path, P01=10, P03=3)
    third = withdraw(private_seeded, second)
    states = {}
    with serve(private_seeded) as client:
        for number in (first, second, third):
            answer = client.get("/v1/trade/flows", params={"source": COMTRADE, "release": number}).json()
            states[number] = {row["product"]: row["value_usd"] for row in answer["data"]}
    assert states == {first: {"01": 1, "02": 2}, second: {"01": 10, "02": 2, "03": 3}, third: {"01": 1, "02": 2}}


def test_what_was_revised_holds_again_as_a_new_version(private_seeded: Database, tmp_path: Path) -> None:
    publish(private_seeded, tmp_path, P01=1, P02=2)
    withdraw(private_seeded, publish(private_seeded, tmp_path, P01=10, P03=3))
    told = last_release(private_seeded)
    assert values(private_seeded) == {"01": 1, "02": 2}
    assert (told["rows_added"], told["rows_changed"], told["rows_removed"]) == (0, 1, 1)


def test_what_was_revised_again_since_stays(private_seeded: Database, tmp_path: Path) -> None:
    publish(private_seeded, tmp_path, P01=1)
    second = publish(private_seeded, tmp_path, P01=10)
    publish(private_seeded, tmp_path, P01=100)
    withdraw(private_seeded, second)
    assert values(private_seeded) == {"01": 100}


@pytest.mark.parametrize(
    ("order", "left"),
    [
        ((1, 2), {"01": 100}),
        ((2, 1), {"01": 100}),
        ((2, 3), {"01": 1, "02": 2}),
        ((3, 2), {"01": 1, "02": 2}),
        ((1, 3), {"01": 10}),
        ((3, 1), {"01": 10}),
        ((1, 2, 3), {}),
        ((3, 2, 1), {}),
        ((2, 3, 1), {}),
        ((3, 1, 2), {}),
    ],
)
def test_what_holds_is_the_last_that_is_not_taken_back_in_any_order(
    private_seeded: Database, tmp_path: Path, base: int, order: tuple[int, ...], left: dict[str, int]
) -> None:
    publish(private_seeded, tmp_path, P01=1, P02=2)
    publish(private_seeded, tmp_path, P01=10)
    publish(private_seeded, tmp_path, P01=100)
    for number in order:
        withdraw(private_seeded, base + number)
    assert (values(private_seeded), sources(private_seeded)[0]) == (left, 1 if left else 0)


def test_another_import_of_the_source_and_its_record_stay(private_seeded: Database, tmp_path: Path) -> None:
    first = publish(private_seeded, tmp_path, P01=1)
    publish(private_seeded, tmp_path, P02=2)
    withdraw(private_seeded, first)
    assert (values(private_seeded), sources(private_seeded)[0]) == ({"02": 2}, 1)


def test_an_import_whose_rows_a_later_one_repeats_is_taken_back_after_it(
    private_seeded: Database, tmp_path: Path
) -> None:
    first = publish(private_seeded, tmp_path, P01=1, P02=2)
    second = publish(private_seeded, tmp_path, P01=1, P03=3)
    with pytest.raises(CannotWithdraw, match=f"release {second} repeats rows"):
        withdraw(private_seeded, first)
    withdraw(private_seeded, second)
    assert values(private_seeded) == {"01": 1, "02": 2}
    withdraw(private_seeded, first)
    assert values(private_seeded) == {}


def test_another_source_stays(private_seeded: Database, tmp_path: Path) -> None:
    take_baci(private_seeded, written(tmp_path / "b.csv", baci_text({})))
    withdraw(private_seeded, publish(private_seeded, tmp_path, P01=1))
    assert (values(private_seeded), values(private_seeded, "cepii-baci-v202301")) == ({}, {"740311": 1500})


def test_a_withdrawn_file_can_be_imported_again(private_seeded: Database, tmp_path: Path) -> None:
    withdraw(private_seeded, publish(private_seeded, tmp_path, P01=1))
    done = take(private_seeded, tmp_path / "P01-1.csv")
    assert counts(done) == {"added": 1}
    assert (values(private_seeded), sources(private_seeded)[0]) == ({"01": 1}, 1)


def test_what_is_withdrawn_is_withdrawn_once(private_seeded: Database, tmp_path: Path, base: int) -> None:
    number = publish(private_seeded, tmp_path, P01=1)
    withdraw(private_seeded, number)
    with pytest.raises(CannotWithdraw, match=f"release {number} is taken back already, by release {number + 1}"):
        withdraw(private_seeded, number)
    with pytest.raises(CannotWithdraw, match=f"release {number + 1} is of the kind withdrawal"):
        withdraw(private_seeded, number + 1)
    assert last_release(private_seeded)["id"] == number + 1


def test_only_an_import_can_be_withdrawn(private_seeded: Database, base: int) -> None:
    with pytest.raises(CannotWithdraw, match=f"release {base} is of the kind .*: only an import can be taken back"):
        withdraw(private_seeded, base)
    with pytest.raises(CannotWithdraw, match="there is no release 999"):
        withdraw(private_seeded, 999)
    assert last_release(private_seeded)["id"] == base


def test_the_command_withdraws_or_says_why_not(private_seeded: Database, tmp_path: Path) -> None:
    number = publish(private_seeded, tmp_path, P01=1)
    done = run_command(private_seeded, "withdraw", str(number))
    assert done == (0, f"published release {number + 1}, which takes release {number} back\n", "")
    again = f"{CannotWithdraw.code} release {number} is taken back already, by release {number + 1}\n"
    assert run_command(private_seeded, "withdraw", str(number)) == (1, "", again)
