"""One import is one release: whole or not at all, once, and every state before it stays readable."""

import hashlib
import threading
from pathlib import Path

import pytest
from conftest import serve
from sqlalchemy import func, select
from trade_files import (
    PLUS_ROW,
    Row,
    baci_text,
    comtrade_text,
    counts,
    everything,
    last_release,
    partners,
    run_command,
    settled,
    start,
    stored,
    take,
    take_baci,
    values,
    written,
)

from app.db import Database
from app.errors import PublishBusy, TooManyBadRows
from app.ingest.importer import comtrade_format
from app.models import TradeFlow

COMTRADE = "un-comtrade"


def save(folder: Path, name: str = "a.csv", **told: int) -> Path:
    """Write a file with the value of each product, such as P01=5."""
    rows: list[Row] = [{"cmdCode": code[1:], "primaryValue": str(value)} for code, value in told.items()]
    return written(folder / name, comtrade_text(*rows))


def test_an_import_is_a_release_that_says_what_it_is(private_seeded: Database, tmp_path: Path) -> None:
    before = last_release(private_seeded)["id"]
    path = save(tmp_path, P01=1, P02=2)
    done = take(private_seeded, path)
    told = last_release(private_seeded)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (done.release, counts(done)) == (before + 1, {"added": 2})
    assert {name: value for name, value in told.items() if name not in ("published_at", "changes", "rows_added")} == {
        **{"id": before + 1, "kind": "import", "source": COMTRADE, "file_name": "a.csv", "sha256": sha256},
        **{"rows_changed": 0, "rows_removed": 0, "rows_rejected": 0, "options": None, "withdraws": None},
    }


def test_a_release_tells_what_it_changes_by_table(private_seeded: Database, tmp_path: Path) -> None:
    take(private_seeded, save(tmp_path, P01=1, P02=2))
    done = take(private_seeded, save(tmp_path, "b.csv", P01=9, P03=3))
    with serve(private_seeded) as client:
        told = client.get(f"/v1/releases/{done.release}").json()["data"]
    assert told["changes"] == {
        "trade_flows": {
            **{"added": 1, "changed": 1, "removed": 0, "unchanged": 0},
            **{"reporters": ["KAZ"], "years": [2023]},
        }
    }


def test_one_file_given_twice_is_read_once(private_seeded: Database, tmp_path: Path) -> None:
    path = save(tmp_path, P01=1, P02=2)
    done = take(private_seeded, path, path)
    assert (done.read, done.added, dict(done.left_out)) == (4, 2, {"the same row again": 2})


def test_files_together_are_one_release(private_seeded: Database, tmp_path: Path) -> None:
    one, two = save(tmp_path, P01=1), save(tmp_path, "b.csv", P02=2)
    before = last_release(private_seeded)["id"]
    assert counts(take(private_seeded, one, two)) == {"added": 2}
    told = last_release(private_seeded)
    hashes = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in (one, two))
    expected = (before + 1, "a.csv, b.csv", hashlib.sha256(hashes.encode()).hexdigest())
    assert (told["id"], told["file_name"], told["sha256"]) == expected


def test_the_same_files_again_publish_nothing(private_seeded: Database, tmp_path: Path) -> None:
    path = save(tmp_path, P01=1)
    number = take(private_seeded, path).release
    before = everything(private_seeded)
    again = take(private_seeded, path)
    assert (again.again, again.release, everything(private_seeded)) == (number, None, before)
    assert again.lines(dry_run=False) == [f"nothing to do: release {number} is of these very files"]


@pytest.mark.parametrize("dress", ["order", "gz", "crlf"])
def test_the_same_rows_in_another_file_publish_nothing(private_seeded: Database, tmp_path: Path, dress: str) -> None:
    take(private_seeded, save(tmp_path, P01=1, P02=2))
    before = everything(private_seeded)
    text = (tmp_path / "a.csv").read_text()
    other = {
        "order": lambda: save(tmp_path, "b.csv", P02=2, P01=1),
        "gz": lambda: written(tmp_path / "b.csv.gz", text),
        "crlf": lambda: written(tmp_path / "b.csv", text.replace("\n", "\r\n")),
    }[dress]()
    done = take(private_seeded, other)
    assert (counts(done), done.release, everything(private_seeded)) == ({"unchanged": 2}, None, before)
    assert done.lines(dry_run=False)[-1] == "published nothing: no row changed"


def test_a_file_with_its_parts_is_another_import(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", comtrade_text({}, {"motCode": "1000"}))
    take(private_seeded, path)
    done = take(private_seeded, path, form=comtrade_format(all_breakdowns=True))
    assert (counts(done), last_release(private_seeded)["options"]) == ({"added": 1, "unchanged": 1}, "all-breakdowns")


def test_an_older_file_again_is_a_revision(private_seeded: Database, tmp_path: Path) -> None:
    old, new = save(tmp_path, P01=1), save(tmp_path, "b.csv", P01=2)
    assert [counts(take(private_seeded, path)) for path in (old, new, old)] == [
        {"added": 1}, {"revised": 1}, {"revised": 1},
    ]  # fmt: skip
    assert values(private_seeded) == {"01": 1}


REVISIONS = {"primaryValue": "9", "netWgt": "9", "isNetWgtEstimated": "true", "isReported": "false", "cifvalue": "1000"}


@pytest.mark.parametrize("name", REVISIONS)
def test_a_revision_of_any_field_supersedes_the_row(private_seeded: Database, tmp_path: Path, name: str) -> None:
    usual = {"fobvalue": ""}
    take(private_seeded, written(tmp_path / "a.csv", comtrade_text(usual)))
    done = take(private_seeded, written(tmp_path / "b.csv", comtrade_text({**usual, name: REVISIONS[name]})))
    assert counts(done) == {"revised": 1}


def test_a_weight_that_comes_and_goes_is_a_revision(private_seeded: Database, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}.csv", comtrade_text({"netWgt": text})) for n, text in enumerate(("", "5", ""))]
    done = [counts(take(private_seeded, path)) for path in files]
    assert done == [{"added": 1}, {"revised": 1}, {"revised": 1}]


def test_a_revised_file_supersedes_the_rows_that_changed_and_no_other(private_seeded: Database, tmp_path: Path) -> None:
    first = take(private_seeded, save(tmp_path, P01=1, P02=2, P03=3)).release
    second = take(private_seeded, save(tmp_path, "b.csv", P01=1, P02=20, P04=4)).release
    columns = (TradeFlow.product, TradeFlow.value_usd, TradeFlow.release, TradeFlow.superseded_by)
    with private_seeded.read() as connection:
        query = select(*columns).where(TradeFlow.source == COMTRADE)
        rows = [tuple(row) for row in connection.execute(query.order_by(TradeFlow.product, TradeFlow.release))]
    assert rows == [
        ("01", 1, first, None),
        ("02", 2, first, second),
        ("02", 20, second, None),
        ("03", 3, first, None),
        ("04", 4, second, None),
    ]


def test_every_release_answers_what_held_then(private_seeded: Database, tmp_path: Path) -> None:
    files = (save(tmp_path, P01=1, P02=2), save(tmp_path, "b.csv", P02=20), save(tmp_path, "c.csv", P02=200, P03=3))
    numbers = [take(private_seeded, path).release for path in files]
    with serve(private_seeded) as client:
        answers = [
            client.get("/v1/trade/flows", params={"source": COMTRADE, "release": number or 0}).json()["data"]
            for number in numbers
        ]
        now = client.get("/v1/trade/flows", params={"source": COMTRADE}).json()["data"]
    said = [{row["product"]: row["value_usd"] for row in rows} for rows in (*answers, now)]
    assert said == [{"01": 1, "02": 2}, {"01": 1, "02": 20}, *[{"01": 1, "02": 200, "03": 3}] * 2]


def test_a_release_before_the_import_has_none_of_it(private_seeded: Database, tmp_path: Path) -> None:
    before = last_release(private_seeded)["id"]
    with serve(private_seeded) as client:
        old = client.get("/v1/trade/flows", params={"reporter": "KAZ", "release": before}).json()["data"]
        take(private_seeded, save(tmp_path, P01=1))
        assert client.get("/v1/trade/flows", params={"reporter": "KAZ", "release": before}).json()["data"] == old


def test_sources_do_not_meet(private_seeded: Database, tmp_path: Path) -> None:
    take_baci(private_seeded, written(tmp_path / "b.csv", baci_text({"k": "10111"})))
    take(private_seeded, save(tmp_path, P010111=7))
    both = {source: values(private_seeded, source) for source in (COMTRADE, "cepii-baci-v202301")}
    assert both == {COMTRADE: {"010111": 7}, "cepii-baci-v202301": {"010111": 1500}}


def test_a_dry_run_counts_and_leaves_no_trace(private_seeded: Database, tmp_path: Path) -> None:
    take(private_seeded, save(tmp_path, P01=1, P02=2))
    before, rows = everything(private_seeded), stored(private_seeded)
    done = take(private_seeded, save(tmp_path, "b.csv", P01=1, P02=20, P03=3), dry_run=True)
    assert (counts(done), done.release) == ({"added": 1, "revised": 1, "unchanged": 1}, None)
    assert (everything(private_seeded), stored(private_seeded)) == (before, rows)


def test_a_dry_run_refuses_bad_rows_too(private_seeded: Database, tmp_path: Path) -> None:
    with pytest.raises(TooManyBadRows):
        take(private_seeded, written(tmp_path / "a.csv", comtrade_text({"flowCode": "Q"})), dry_run=True)


def test_the_command_tells_a_dry_run(private_seeded: Database, tmp_path: Path) -> None:
    path = save(tmp_path, P01=1)
    status, out, _ = run_command(private_seeded, "import", "comtrade", path, "--dry-run")
    told = "read 1 rows: 1 added, 0 revised, 0 unchanged, 0 left out, 0 bad\nnothing was published: it was a dry run\n"
    assert (status, out, values(private_seeded)) == (0, told, {})


def test_an_import_while_another_runs_is_told_so(private_seeded: Database, tmp_path: Path) -> None:
    other = Database(private_seeded.settings)
    with private_seeded.staging(), pytest.raises(PublishBusy, match="another import is running"):
        take(other, save(tmp_path, P01=1))
    other.close()
    assert counts(take(private_seeded, tmp_path / "a.csv")) == {"added": 1}


HOLDER = """
import time
from app.db import Database
from app.settings import Settings
with Database(Settings()).staging():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_importer_holds_no_lock(private_seeded: Database, tmp_path: Path) -> None:
    process = start(private_seeded, code=HOLDER)
    assert process.stdout and process.stdout.readline() == "held\n"
    with pytest.raises(PublishBusy):
        take(private_seeded, save(tmp_path, P01=1))
    process.kill()
    process.communicate()
    assert settled(private_seeded) == []
    assert counts(take(private_seeded, tmp_path / "a.csv")) == {"added": 1}


def test_readers_see_the_old_state_or_the_new(private_seeded: Database, tmp_path: Path) -> None:
    take(private_seeded, written(tmp_path / "a.csv", comtrade_text(*partners(2000))))
    revised = [{**row, "primaryValue": "5"} for row in partners(2000)]
    path, seen, over = written(tmp_path / "b.csv", comtrade_text(*revised)), set(), threading.Event()
    total = select(func.sum(TradeFlow.value_usd)).where(TradeFlow.source == COMTRADE, TradeFlow.superseded_by.is_(None))

    def look() -> None:
        while not over.is_set():
            with private_seeded.read() as connection:
                seen.add(int(connection.execute(total).scalar_one()))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        take(private_seeded, path)
    finally:
        over.set()
        reader.join()
    assert seen <= {sum(range(1001, 3001)), 10_000}


def test_what_a_file_says_is_what_is_stored(private_seeded: Database, tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", comtrade_text(PLUS_ROW))
    take(private_seeded, path)
    assert stored(private_seeded) == [
        ("KAZ", "CHN", "export", "740311", "H6", "A", "2023", "-", 1000, 250.0, False, "FOB", "A")
    ]
