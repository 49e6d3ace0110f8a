"""Whole tables as files: the bytes of their lists, served by ranges, built once, never shown in halves."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import duckdb
import duckdb_extension_httpfs
import pandas as pd
import polars as pl
import pytest
from conftest import Workshop
from fastapi import FastAPI
from sqlalchemy import event
from starlette.testclient import TestClient
from test_http import BIG, LISTS, assert_problem, flow, free_exports, many_flows, publish_invented, served, service

from app.compress import CODINGS
from app.db import Database
from app.exports.files import KEPT, Files, folder_of
from app.exports.tables import FORMATS
from app.models import TradeFlow
from app.settings import Settings
from app.tables import TABLES

FILES = [(table.name, form) for table in TABLES for form in FORMATS]
COMPUTED = {"/v1/trade/totals", "/v1/trade/coverage", "/v1/search"}
"""Lists that are made of what is asked, and are no table."""
CSV, PARQUET = "/v1/exports/products.csv", "/v1/exports/products.parquet"
urlopen = build_opener(ProxyHandler({})).open
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture(scope="module")
def grown(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database with a table of several batches, whose files tests may build and break."""
    with many_flows(workshop, engine) as database:
        yield database


def there(folder: Path) -> list[str]:
    """Give the names of the files below a folder, locks apart."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def settings_of(database: Database, tmp_path: Path, **more: Any) -> Settings:
    """Give the settings of a service whose files go to a folder of the test."""
    return Settings(database_url=database.settings.database_url, export_folder=str(tmp_path), release_ttl=0, **more)


# What a file holds


@pytest.mark.parametrize(("table", "form"), FILES)
def test_a_file_has_the_bytes_that_its_list_streams(client: TestClient, table: str, form: str) -> None:
    path = next(one.path for one in TABLES if one.name == table)
    streamed = client.get(f"{path}?format={form}&release=3", headers=PLAIN)
    assert client.get(f"/v1/exports/{table}.{form}?release=3", headers=PLAIN).content == streamed.content
    assert client.get(f"/v1/exports/{table}.{form}", headers=PLAIN).content == streamed.content


def test_a_file_of_several_batches_has_the_bytes_that_its_list_streams(grown: Database) -> None:
    with service(grown) as client:
        for form in FORMATS:
            streamed = client.get(f"/v1/trade/flows?format={form}&release=4").content
            assert client.get(f"/v1/exports/trade-flows.{form}").content == streamed


def test_files_are_the_same_bytes_on_both_engines(clients: dict[str, TestClient]) -> None:
    for table, form in FILES:
        got = [one.get(f"/v1/exports/{table}.{form}").content for one in clients.values()]
        assert got[0] == got[1], table


def test_every_list_that_is_a_table_is_exported() -> None:
    assert {table.path for table in TABLES} == {path for path in LISTS if path not in COMPUTED}


def test_an_old_release_gives_its_own_rows(grown: Database) -> None:
    with service(grown) as client:
        lines = [client.get(f"/v1/exports/trade-flows.csv?release={number}").text.count("\r\n") for number in (3, 4)]
    assert lines == [18, 18 + BIG]


# The list of files


def test_the_list_tells_table_columns_rows_and_files(client: TestClient) -> None:
    answer = client.get("/v1/exports?release=3").json()
    assert [row["table"] for row in answer["data"]] == [table.name for table in TABLES]
    for row in answer["data"]:
        page = client.get(f"{row['path']}&limit=1000&count=true").json()
        assert row["rows"] == page["meta"]["total"], row["table"]
        assert [column["name"] for column in row["columns"]] == list(page["data"][0])
        assert [client.head(file["path"]).status_code for file in row["files"]] == [200, 200]
    assert answer["meta"] == {"total": len(TABLES), "limit": None, "release": 3, "warnings": []}


def test_the_list_tells_size_and_hash_once_a_file_is_built(seeded: Database, tmp_path: Path) -> None:
    with service(seeded, export_folder=str(tmp_path)) as client:
        before = client.get("/v1/exports")
        content = client.get("/v1/exports/topics.csv").content
        after = client.get("/v1/exports", headers={"If-None-Match": before.headers["etag"]})
    told = [{row["table"]: row["files"][0] for row in one.json()["data"]}["topics"] for one in (before, after)]
    assert [told[0]["size"], told[0]["sha256"]] == [None, None]
    assert [told[1]["size"], told[1]["sha256"]] == [len(content), hashlib.sha256(content).hexdigest()]


def test_an_unknown_table_is_404_with_the_nearest(client: TestClient) -> None:
    for path, meant in (("trade-flow.csv", "trade-flows"), ("quotes.xlsx", "quotes.csv"), ("quote.parquet", "quotes")):
        response = client.get(f"/v1/exports/{path}")
        assert_problem(response, 404, "KHG111")
        assert response.json()["errors"][0]["did_you_mean"] == meant


def test_parquet_without_its_library_is_406_with_what_installs_it(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.formats.find_spec", lambda _: None)
    with service(seeded) as client:
        response = client.get("/v1/exports/topics.parquet")
        assert_problem(response, 406, "KHG109")
        assert "pip install 'khorgos[parquet]'" in response.json()["detail"]
        assert client.get("/v1/exports/topics.csv").status_code == 200
        assert [file["format"] for file in client.get("/v1/exports").json()["data"][0]["files"]] == ["csv"]


# Ranges and conditions


@pytest.mark.parametrize("path", [CSV, PARQUET, "/v1/datapackage.zip"])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=-8", -8, -1),
        ("bytes=100000-", 100_000, -1),
        ("bytes=100000-99999999", 100_000, -1),
        ("bytes=-99999999", 0, -1),
        ("Bytes = 5-6 ", 5, 6),
        ("bytes=5-6,99999999-", 5, 6),
    ],
)
def test_a_range_is_206_with_its_bytes(client: TestClient, path: str, asked: str, first: int, last: int) -> None:
    whole = client.get(path, headers=PLAIN).content
    first, last = first % len(whole), last % len(whole)
    response = client.get(path, headers={"Range": asked})
    assert (response.status_code, response.content) == (206, whole[first : last + 1])
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
    assert response.headers["content-length"] == str(last + 1 - first)
    assert "content-encoding" not in response.headers


def test_several_ranges_come_as_parts(client: TestClient) -> None:
    whole = client.get(PARQUET).content
    response = client.get(PARQUET, headers={"Range": "bytes=0-3,-4"})
    assert response.status_code == 206
    boundary = response.headers["content-type"].partition("boundary=")[2].encode()
    assert [part.partition(b"\r\n\r\n")[2][:4] for part in response.content.split(b"--" + boundary)[1:3]] == [
        whole[:4],
        whole[-4:],
    ]
    assert int(response.headers["content-length"]) == len(response.content)


@pytest.mark.parametrize(
    "asked",
    ["bytes=99999999-", "bytes=-0", "bytes=9-8", "bytes=", "bytes=-", "bytes=a-b", "bytes=1_0-20", "bytes=0-1,x"],
)
def test_a_range_that_is_none_is_416_with_the_size(client: TestClient, asked: str) -> None:
    response = client.get(CSV, headers={"Range": asked})
    assert_problem(response, 416, "KHG117")
    assert response.headers["content-range"] == f"bytes */{len(client.get(CSV, headers=PLAIN).content)}"


def test_a_range_in_another_unit_is_not_heeded(client: TestClient) -> None:
    assert client.get(CSV, headers={"Range": "rows=1-2"}).status_code == 200


def test_if_range_takes_the_tag_and_nothing_else(client: TestClient) -> None:
    headers = client.head(PARQUET).headers
    asked = [headers["etag"], '"other"', f"W/{headers['etag']}", headers["last-modified"]]
    got = [client.get(PARQUET, headers={"Range": "bytes=0-3", "If-Range": one}).status_code for one in asked]
    assert got == [206, 200, 200, 200]


@pytest.mark.parametrize("path", [CSV, PARQUET, "/v1/datapackage.zip", "/v1/exports/topics.csv"])
@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_head_has_the_headers_of_get(client: TestClient, path: str, coding: str) -> None:
    got, headed = (call(path, headers={"Accept-Encoding": coding}) for call in (client.get, client.head))
    assert (headed.status_code, headed.content, headed.headers) == (200, b"", got.headers)


def test_head_takes_no_heed_of_a_range(client: TestClient) -> None:
    assert client.head(CSV, headers={"Range": "bytes=0-3"}).headers == client.head(CSV).headers


@pytest.mark.parametrize("path", [CSV, PARQUET, "/v1/datapackage.zip", "/v1/exports/topics.csv"])
@pytest.mark.parametrize("coding", [*CODINGS, "zstd, br, gzip, *", "identity"])
def test_a_file_is_sent_as_it_is_and_goes_on_where_it_broke_off(client: TestClient, path: str, coding: str) -> None:
    plain, takes = client.get(path, headers=PLAIN), {"Accept-Encoding": coding}
    whole = client.get(path, headers=takes)
    assert "content-encoding" not in whole.headers
    assert (whole.headers, whole.content) == (plain.headers, plain.content)
    assert (whole.headers["content-length"], whole.headers["accept-ranges"]) == (str(len(plain.content)), "bytes")
    rest = client.get(path, headers={**takes, "Range": "bytes=100-", "If-Range": whole.headers["etag"]})
    assert (rest.status_code, rest.content, rest.headers["etag"]) == (206, whole.content[100:], whole.headers["etag"])
    assert "content-encoding" not in rest.headers


def test_who_holds_a_file_is_told_so_and_nothing_is_built(seeded: Database, tmp_path: Path, client: TestClient) -> None:
    tag = client.head("/v1/exports/topics.parquet").headers["etag"]
    with service(seeded, export_folder=str(tmp_path)) as other:
        headers = {"If-None-Match": tag, "Range": "bytes=0-3"}
        assert other.get("/v1/exports/topics.parquet", headers=headers).status_code == 304
    assert there(tmp_path) == []


def test_a_small_file_that_was_given_whole_is_given_by_ranges_too(client: TestClient) -> None:
    path = "/v1/exports/topics.parquet"
    got = [client.get(path, headers=headers).status_code for headers in ({}, {"Range": "bytes=0-3"}, {})]
    assert got == [200, 206, 200]


def test_a_pinned_file_is_for_ever(client: TestClient) -> None:
    assert "immutable" in client.head(f"{CSV}?release=3").headers["cache-control"]
    assert client.head(CSV).headers["cache-control"] == "public, max-age=60"


def test_release_is_given_once(client: TestClient) -> None:
    assert_problem(client.get(f"{CSV}?release=2&release=3"), 422, "KHG105")
    assert_problem(client.get(f"{CSV}?release=99"), 422, "KHG101")


# How a file is built


def test_a_file_is_built_once_however_many_ask_at_once(grown: Database, tmp_path: Path) -> None:
    statements = []
    with service(grown, export_folder=str(tmp_path), pool_wait=30) as client:
        reader = grown_reader(client)
        event.listen(reader, "before_cursor_execute", lambda *found: statements.append(found[2]))
        answers: list[bytes] = []
        asking = [
            threading.Thread(target=lambda: answers.append(client.get("/v1/exports/trade-flows.csv").content))
            for _ in range(8)
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert sum("FROM trade_flows" in statement.replace("\n", "") for statement in statements) == 1
    assert len(there(tmp_path)) == 1


def grown_reader(client: TestClient) -> Any:
    """Give the engine that exports of a service read by."""
    kept = client.app.state.service
    return kept.database.reader(kept.settings.export_timeout)


BUILDER = """
import sys, time
from app.ask import Service
from app.db import Database
from app.exports.files import Files
from app.exports.tables import FORMATS
from app.releases import Releases
from app.settings import Settings
from app.tables import TABLES

database = Database(Settings())
files = Files(Service(database.settings, database, Releases(database, 0)), TABLES)
table = files.tables["trade-flows"]

def half(out):
    out.write(b"half of it")
    out.flush()
    print("half", flush=True)
    time.sleep(600)

if sys.argv[1] == "half":
    files.of("trade-flows", "csv", 4, half)
built = files.made(table, FORMATS["csv"], 4)
print(built.path.name, built.size)
"""


def builder(settings: Settings, what: str) -> "subprocess.Popen[str]":
    """Start another process that builds the file of the trade flows."""
    environment = {
        "KHORGOS_DATABASE_URL": settings.database_url,
        "KHORGOS_EXPORT_FOLDER": settings.export_folder,
        "KHORGOS_POOL_WAIT": "60",
    }
    asked = [sys.executable, "-c", BUILDER, what]
    return subprocess.Popen(asked, env=environment, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_give_one_file(grown: Database, tmp_path: Path) -> None:
    running = [builder(settings_of(grown, tmp_path), "whole") for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in running]
    assert [one.returncode for one in running] == [0, 0]
    assert said[0] == said[1] != ""
    assert there(tmp_path) == [said[0].split()[0]]


def test_a_kill_while_building_leaves_nothing_that_is_served(grown: Database, tmp_path: Path) -> None:
    settings = settings_of(grown, tmp_path)
    with builder(settings, "half") as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "half\n"
        with service(grown, export_folder=str(tmp_path), pool_wait=0.1) as client:
            assert_problem(client.get("/v1/exports/trade-flows.csv"), 503, "KHG502")
            assert client.get("/v1/exports").json()["data"][0]["files"][0]["size"] is None
            killed.kill()
            killed.wait()
            assert client.get("/v1/exports").json()["data"][0]["files"][0]["size"] is None
            whole = client.get("/v1/exports/trade-flows.csv", headers=PLAIN)
            assert whole.content == client.get("/v1/trade/flows?format=csv", headers=PLAIN).content
    assert [name.endswith(".part") for name in there(tmp_path)] == [False]


def test_a_build_that_takes_too_long_is_503_and_leaves_nothing(grown: Database, tmp_path: Path) -> None:
    with service(grown, export_folder=str(tmp_path), export_timeout=0.001) as client:
        assert_problem(client.get("/v1/exports/trade-flows.csv"), 503, "KHG501")
        assert free_exports(client.app) == 2
    assert there(tmp_path) == []


def test_a_build_waits_for_a_place_as_long_as_an_export_does(grown: Database, tmp_path: Path) -> None:
    with service(grown, export_folder=str(tmp_path), exports=1, pool_wait=0.05) as client:
        with client.app.state.service.exports:
            response = client.get("/v1/exports/trade-flows.csv")
        assert_problem(response, 503, "KHG502")
        assert response.headers["retry-after"]
        assert client.get("/v1/exports/trade-flows.csv").status_code == 200


def test_one_place_is_enough_for_the_archive_of_all(grown: Database, tmp_path: Path) -> None:
    with service(grown, export_folder=str(tmp_path), exports=1, pool_wait=0.05) as client:
        assert client.get("/v1/datapackage.zip").status_code == 200


FULL = """
import resource, sys
from starlette.testclient import TestClient
from app.main import create_app
from app.settings import Settings

with TestClient(create_app(Settings())) as client:
    client.get("/v1/exports")  # what is looked up once
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    answer = client.get("/v1/exports/products.csv")
    print(answer.status_code, answer.json()["code"])
    print(client.get("/v1/exports/topics.csv").status_code)
"""


def test_a_file_that_finds_no_room_is_503_and_leaves_nothing(seeded: Database, tmp_path: Path) -> None:
    environment = {
        "KHORGOS_DATABASE_URL": seeded.settings.database_url,
        "KHORGOS_EXPORT_FOLDER": str(tmp_path),
    }
    asked = [sys.executable, "-c", FULL]
    done = subprocess.run(
        asked, env=environment, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "503 KHG506\n200\n"
    assert [name.partition(".")[0] for name in there(tmp_path)] == ["topics"]


def test_a_folder_that_is_none_is_503_and_names_no_path(seeded: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with service(seeded, export_folder=str(tmp_path / "file")) as client:
        response = client.get("/v1/exports/topics.csv")
    assert_problem(response, 503, "KHG506")
    assert str(tmp_path) not in response.text


def test_a_new_release_is_a_new_file_and_the_old_one_is_read_to_its_end(
    private_seeded: Database, tmp_path: Path
) -> None:
    with service(private_seeded, export_folder=str(tmp_path)) as client:
        first = client.get("/v1/exports/trade-flows.csv", headers=PLAIN)
        files: Files = client.app.state.exports.files
        table = files.tables["trade-flows"]
        with files.table(table, FORMATS["csv"], 3) as old:
            start = old.read(100)
            for number in range(KEPT + 1):
                publish_invented(private_seeded, {TradeFlow: [flow(number)]})
                later = client.get("/v1/exports/trade-flows.csv", headers=PLAIN)
                assert later.headers["etag"] != first.headers["etag"]
                assert later.content != first.content
            assert files.found("trade-flows", "csv", 3) is None
            assert start + old.read() == first.content
        assert len({path.parent for path in tmp_path.rglob("*.csv")}) == KEPT
        again = client.get("/v1/exports/trade-flows.csv?release=3", headers=PLAIN)
        assert again.content == first.content


def test_a_database_that_is_made_anew_gives_its_own_files(workshop: Workshop, tmp_path: Path) -> None:
    databases = [workshop.copy("sqlite") for _ in range(2)]
    path = Path(databases[0].url.database)
    for number, database in enumerate(databases):
        publish_invented(database, {TradeFlow: [flow(one) for one in range(number + 1)]})
    got = []
    for _ in range(2):
        with service(databases[0], export_folder=str(tmp_path)) as client:
            got.append(client.get("/v1/exports/trade-flows.csv").text)
            assert got[-1] == client.get("/v1/trade/flows?format=csv").text
        for one in databases:
            one.close()
        path.write_bytes(Path(databases[1].url.database).read_bytes())
    for database in databases:
        workshop.remove(database)
    assert got[0] != got[1]


def test_files_lie_beside_an_sqlite_file_unless_told(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KHORGOS_EXPORT_FOLDER")
    database = Database(Settings(database_url="sqlite:///somewhere/khorgos.db"))
    assert folder_of(database).parent == Path("somewhere/khorgos.db-exports").absolute()


def test_files_of_a_server_lie_in_the_cache_and_name_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KHORGOS_EXPORT_FOLDER")
    named = [
        folder_of(Database(Settings(database_url=f"postgresql://me:secret@{host}/trade"))) for host in ("one", "two")
    ]
    assert named[0] != named[1]
    assert [path.name.startswith("trade-") for path in named] == [True, True]
    assert "secret" not in str(named)


# Clients as they are


IMPATIENT = {"max_retries": 1}
"""Options of a client that does not ask again for minutes where a server fails."""


@pytest.fixture
def live(seeded: Database) -> Iterator[tuple[str, FastAPI]]:
    """Give the address of the exports of a live server, and its application."""
    with served(seeded) as (port, made):
        yield f"http://127.0.0.1:{port}/v1/exports", made


def ranges_of(made: FastAPI, form: str) -> float:
    """Count the answers by range of a format."""
    labels = {"route": f"/v1/exports/{{table}}.{form}", "status": "206"}
    return made.state.metrics.registry.get_sample_value("khorgos_requests_total", labels) or 0


def test_polars_scans_parquet_by_ranges(live: tuple[str, FastAPI]) -> None:
    url, made = live
    chapters = (
        pl.scan_parquet(f"{url}/products.parquet", storage_options=IMPATIENT)
        .filter(pl.col("level") == 2)
        .select("code")
        .collect()
    )
    assert (chapters.height, chapters["code"].min()) == (97, "01")
    assert ranges_of(made, "parquet") >= 1  # a small file may come whole with its footer


def test_polars_scans_csv_by_ranges(live: tuple[str, FastAPI]) -> None:
    url, made = live
    rows = pl.scan_csv(
        f"{url}/products.csv", storage_options=IMPATIENT, schema_overrides={"code": pl.String, "parent": pl.String}
    )
    assert rows.filter(pl.col("level") == 2).select("code").collect().height == 97
    assert ranges_of(made, "csv") >= 1


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give DuckDB with the HTTP reader that is installed; it may fetch no other."""
    found = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    settings = {"extension_directory": str(tmp_path), "autoinstall_known_extensions": False}
    with duckdb.connect(config={**settings, "autoload_known_extensions": False}) as connection:
        connection.execute(f"LOAD '{found}'; SET http_retries = 1; SET http_timeout = 10")
        yield connection


def test_duckdb_reads_parquet_by_ranges(live: tuple[str, FastAPI], duck: duckdb.DuckDBPyConnection) -> None:
    url, made = live
    query = f"SELECT count(*), min(code) FROM '{url}/products.parquet' WHERE level = 2"
    assert duck.execute(query).fetchall() == [(97, "01")]
    assert ranges_of(made, "parquet") >= 1  # a small file may come whole with its footer


def test_duckdb_reads_csv(live: tuple[str, FastAPI], duck: duckdb.DuckDBPyConnection) -> None:
    url, made = live
    query = f"SELECT count(*) FROM read_csv('{url}/products.csv') WHERE level = 2"
    assert duck.execute(query).fetchall() == [(97,)]
    assert ranges_of(made, "csv") >= 1


def test_pandas_reads_both(live: tuple[str, FastAPI]) -> None:
    url, _ = live
    typed = pd.read_parquet(f"{url}/trade-flows.parquet")
    plain = pd.read_csv(f"{url}/trade-flows.csv", dtype={"product": str}, keep_default_na=False, na_values=[""])
    assert (len(typed), list(typed.columns)) == (17, list(plain.columns))
    assert typed["value_usd"].sum() == plain["value_usd"].sum()


def test_a_download_that_broke_off_goes_on_where_it_was(live: tuple[str, FastAPI]) -> None:
    url, _ = live
    with urlopen(f"{url}/products.csv") as answer:
        begun, tag = answer.read(100_000), answer.headers["ETag"]
    rest = Request(f"{url}/products.csv", headers={"Range": f"bytes={len(begun)}-", "If-Range": tag})
    with urlopen(rest) as answer:
        assert answer.status == 206
        whole = begun + answer.read()
    with urlopen(f"{url}/products.csv") as answer:
        assert whole == answer.read()


# At the command line


def khorgos(settings: Settings, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command."""
    asked = [sys.executable, "-c", "from app.cli import main; main()", *words]
    environment = {"KHORGOS_DATABASE_URL": settings.database_url, "KHORGOS_EXPORT_FOLDER": settings.export_folder}
    return subprocess.run(
        asked,
        env=environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_writes_the_files_that_are_served(seeded: Database, client: TestClient, tmp_path: Path) -> None:
    done = khorgos(settings_of(seeded, tmp_path / "built"), "export", str(tmp_path / "csv"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "trade-flows.csv: 17 rows, 9168 bytes"
    assert there(tmp_path / "csv") == sorted([f"{table.name}.csv" for table in TABLES] + ["datapackage.json"])
    for table in TABLES:
        content = client.get(f"/v1/exports/{table.name}.csv", headers=PLAIN).content
        assert (tmp_path / "csv" / f"{table.name}.csv").read_bytes() == content


def test_the_command_takes_tables_format_and_release(grown: Database, tmp_path: Path) -> None:
    words = ["export", str(tmp_path / "out"), "trade-flows", "--format", "parquet", "--release", "3"]
    done = khorgos(settings_of(grown, tmp_path / "built"), *words)
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "trade-flows.parquet: 17 rows")
    assert there(tmp_path / "out") == ["trade-flows.parquet"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trade-flow"], "KHG111 there is no export 'trade-flow'; /v1/exports lists them; did you mean 'trade-flows'?"),
        (["--release", "99"], "KHG101 release cannot be 99: the newest is 3; did you mean '3'?"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(
    seeded: Database, tmp_path: Path, words: list[str], said: str
) -> None:
    done = khorgos(settings_of(seeded, tmp_path / "built"), "export", str(tmp_path / "out"), *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")
    assert there(tmp_path) == []


def test_a_folder_of_named_tables_refers_to_no_other(seeded: Database, tmp_path: Path) -> None:
    khorgos(settings_of(seeded, tmp_path / "built"), "export", str(tmp_path / "out"), "quotes", "experts")
    about = json.loads((tmp_path / "out" / "datapackage.json").read_text("utf-8"))
    named = {key["reference"]["resource"] for one in about["resources"] for key in one["schema"].get("foreignKeys", ())}
    assert named == {"experts", ""}
