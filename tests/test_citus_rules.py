"""What Citus runs, held without one: the forms of our statements over the distributed table, and the table itself."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlglot
from conftest import NOW, Workshop
from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Computed,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlglot import exp
from starlette.testclient import TestClient
from test_http import FLOWS, LISTS, OPERATIONS, URLS
from test_statements import counted, more
from tiny import edit
from trade_files import baci_text, comtrade_text, take, take_baci, written

from app.citus import FACTS
from app.db import Database
from app.ingest.seeds import seed
from app.ingest.withdraw import withdraw
from app.models import Base
from app.settings import Settings

DISTRIBUTED_BY = get_args(Settings.model_fields["citus_column"].annotation)
"""Columns by either of which the facts can be distributed."""

# Statements: what is refused, as Citus 13.2.2 of two nodes did, or bore ill

NOWHERE: dict[str, tuple[type[exp.Expression], ...]] = {
    "grouping sets": (exp.Rollup, exp.Cube, exp.GroupingSets),
    "lateral": (exp.Lateral,),
    "offset": (exp.Offset,),
    "row lock": (exp.Lock,),
}
"""What no statement has that reads or writes the facts, wherever in it it stands."""
CHANGING = (
    *(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Localtimestamp, exp.Localtime),
    *(exp.Rand, exp.Uuid, exp.Anonymous),
)
"""Functions that are not immutable, or that nobody knows."""
WORTH_READING = re.compile(rf"\b({FACTS}|on\s+conflict|merge\s+into)\b", re.IGNORECASE)


def refused(sql: str, within_shards: bool = False) -> list[str]:
    """Give the forms of a statement that Citus does not run, in the order of their names.

    An offset and a comparison of sets it runs, but by bringing the rows of every shard to one node.
    With `within_shards`, flows may meet flows where they are of the same reporter and product: then one shard has both.
    """
    if not WORTH_READING.search(sql):
        return []
    tree = sqlglot.parse_one(sql.replace("%%", "%"), dialect="postgres")
    if isinstance(tree, exp.Command):
        return ["unread"]
    scopes = list(Scope(tree).every())
    parts = [part for scope in scopes for part in scope.parts]
    found = {"changing upsert": any(map(changes, parts)), "merge": isinstance(tree, exp.Merge)}
    if FACTS in sql:
        known = facts_by_name(parts)
        found |= {name: any(isinstance(one, kinds) for one in parts) for name, kinds in NOWHERE.items()}
        found["recursion"] = any(isinstance(one, exp.With) and one.recursive for one in parts)
        found["self-join"] = any(joins_itself(scope, within_shards) for scope in scopes)
        found["correlated"] = any(leans_out(scope, within_shards) for scope in scopes[1:])
        found["set operation"] = any(compares_sets(one, known) for one in parts)
    return sorted(name for name, is_found in found.items() if is_found)


def changes(part: exp.Expression) -> bool:
    """Tell whether a part is an upsert that sets what the nodes would each make anew."""
    return isinstance(part, exp.OnConflict) and part.find(*CHANGING) is not None


class Scope:
    """A statement or a subquery: what it has itself, and the subqueries in it."""

    def __init__(self, node: exp.Expression) -> None:
        self.parts = [node]
        self.inside: list[Scope] = []
        for part in self.parts:
            for child in part.iter_expressions():
                if isinstance(child, (exp.Select, exp.Update, exp.Delete)):
                    self.inside.append(Scope(child))
                else:
                    self.parts.append(child)
        self.tables = [one for one in self.parts if isinstance(one, exp.Table)]
        self.flows = [table.alias_or_name for table in self.tables if table.name == FACTS]
        given = {one.name for one in self.parts if isinstance(one, exp.TableAlias)}
        self.names = {table.alias_or_name for table in self.tables} | given
        said = {one.table for one in self.parts if isinstance(one, exp.Column)}
        self.outer = said.union(*(one.outer for one in self.inside)) - self.names - {""}

    def every(self) -> Iterator["Scope"]:
        """Give it and all that are in it."""
        yield self
        for one in self.inside:
            yield from one.every()


def facts_by_name(parts: Iterable[exp.Expression]) -> set[str]:
    """Give the names of the facts: the table, and what a WITH reads of it."""
    known = {FACTS}
    for one in parts:
        if isinstance(one, exp.CTE) and known & {table.name for table in one.find_all(exp.Table)}:
            known.add(one.alias)
    return known


def joins_itself(scope: Scope, within_shards: bool) -> bool:
    """Tell whether a scope joins flows with flows."""
    return any(not (within_shards and tied(scope, one, other)) for one, other in combinations(scope.flows, 2))


def leans_out(scope: Scope, within_shards: bool) -> bool:
    """Tell whether a subquery over flows needs a row of the statement around it; over a WITH, which is kept, it may."""
    if not scope.outer or not any(one.flows for one in scope.every()):
        return False
    return not (within_shards and all(tied(scope, one, other) for one in scope.flows for other in scope.outer))


def tied(scope: Scope, one: str, other: str) -> bool:
    """Tell whether two tables meet in a scope by every column that distributes."""
    wheres = [part.this for part in scope.parts if isinstance(part, exp.Where)]
    inner = [
        part.args["on"] for part in scope.parts if isinstance(part, exp.Join) and not part.side and part.args.get("on")
    ]
    held = [part for condition in (*wheres, *inner) for part in conjuncts(condition)]
    equal = {
        frozenset((side.text("table"), side.name) for side in (part.this, part.expression))
        for part in held
        if isinstance(part, exp.EQ)
    }
    return all(frozenset(((one, column), (other, column))) in equal for column in DISTRIBUTED_BY)


def conjuncts(condition: exp.Expression) -> Iterator[exp.Expression]:
    """Give what all must hold for a condition to hold."""
    inner = condition.unnest()
    if isinstance(inner, exp.And):
        yield from (part for side in (inner.this, inner.expression) for part in conjuncts(side))
    else:
        yield inner


def compares_sets(operation: exp.Expression, known: set[str]) -> bool:
    """Tell whether a part compares sets of flows whose rows do not say which shard they are of."""
    if not isinstance(operation, (exp.Intersect, exp.Except)):
        return False
    sides = [operation.this.unnest(), operation.expression.unnest()]
    named = [[one.name for one in side.selects] if isinstance(side, exp.Select) else [] for side in sides]
    places = [[names.index(one) if one in names else None for one in DISTRIBUTED_BY] for names in named]
    has_flows = any(table.name in known for table in operation.find_all(exp.Table))
    return has_flows and (None in places[0] or places[0] != places[1])


PAIR = "SELECT a.period FROM trade_flows a JOIN trade_flows b ON a.period = b.period"
SHARD = "a.reporter = b.reporter AND a.product = b.product"
FINER = "EXISTS (SELECT 1 FROM trade_flows b WHERE b.product > a.product AND b.partner = a.partner)"
BAD = {
    PAIR: "self-join",
    "SELECT 1 FROM trade_flows a, trade_flows b WHERE a.reporter = b.partner": "self-join",
    "SELECT 1 FROM (trade_flows a LEFT JOIN countries c ON c.iso3 = a.partner) CROSS JOIN trade_flows": "self-join",
    f"WITH pairs AS ({PAIR}) SELECT count(*) FROM pairs": "self-join",
    "UPDATE trade_flows SET note = b.note FROM trade_flows b WHERE b.partner = trade_flows.reporter": "self-join",
    "DELETE FROM trade_flows a USING trade_flows b WHERE a.partner = b.reporter": "self-join",
    f"SELECT a.year FROM trade_flows a WHERE {FINER}": "correlated",
    f"SELECT a.year FROM trade_flows a WHERE NOT {FINER}": "correlated",
    "SELECT (SELECT max(b.year) FROM trade_flows b WHERE b.reporter = a.partner) FROM trade_flows a": "correlated",
    "SELECT a.year FROM trade_flows a WHERE a.year IN (SELECT s.year FROM (SELECT b.year FROM trade_flows b "
    "WHERE b.reporter = a.partner) s)": "correlated",
    "SELECT c.name FROM countries c WHERE EXISTS (SELECT 1 FROM trade_flows b WHERE b.reporter = c.iso3)": "correlated",
    f"UPDATE trade_flows a SET note = '' WHERE {FINER}": "correlated",
    "SELECT reporter, year, sum(value_usd) FROM trade_flows GROUP BY ROLLUP (reporter, year)": "grouping sets",
    "SELECT reporter, year, sum(value_usd) FROM trade_flows GROUP BY CUBE (reporter, year)": "grouping sets",
    "SELECT reporter, year FROM trade_flows GROUP BY GROUPING SETS ((reporter), (year))": "grouping sets",
    "SELECT year FROM (SELECT year FROM trade_flows) f GROUP BY ROLLUP (year)": "grouping sets",
    "SELECT c.iso3 FROM countries c CROSS JOIN LATERAL (SELECT 1 FROM trade_flows LIMIT 3) f": "lateral",
    "SELECT c.iso3, f.year FROM countries c LEFT JOIN LATERAL (SELECT f.year FROM trade_flows f "
    "WHERE f.reporter = c.iso3 ORDER BY f.value_usd DESC LIMIT 3) f ON true": "correlated, lateral",
    "WITH RECURSIVE tree AS (SELECT code FROM products UNION ALL SELECT p.code FROM products p JOIN tree t ON "
    "p.parent = t.code) SELECT 1 FROM trade_flows WHERE product IN (SELECT code FROM tree)": "recursion",
    "SELECT year FROM trade_flows ORDER BY year LIMIT 10 OFFSET 200000": "offset",
    "SELECT count(*) FROM (SELECT year FROM trade_flows OFFSET 5) f": "offset",
    "SELECT year FROM trade_flows FOR UPDATE": "row lock",
    "SELECT year FROM trade_flows FOR SHARE SKIP LOCKED": "row lock",
    "SELECT partner FROM trade_flows INTERSECT SELECT reporter FROM trade_flows": "set operation",
    "SELECT reporter, product FROM trade_flows EXCEPT SELECT product, reporter FROM trade_flows": "set operation",
    "SELECT iso3 FROM countries EXCEPT SELECT reporter FROM trade_flows": "set operation",
    "WITH f AS (SELECT reporter FROM trade_flows) SELECT iso3 FROM countries EXCEPT SELECT reporter FROM f": (
        "set operation"
    ),
    "MERGE INTO trade_flows t USING staged s ON t.year = s.year WHEN MATCHED THEN DELETE": "merge",
    "MERGE INTO countries c USING staged s ON c.iso3 = s.iso3 WHEN MATCHED THEN DELETE": "merge",
    "INSERT INTO trade_flows (year) VALUES (1) ON CONFLICT (year) DO UPDATE SET note = now()": "changing upsert",
    "INSERT INTO releases (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET kind = clock_timestamp()": "changing upsert",
    "INSERT INTO releases (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET published_at = random()": "changing upsert",
    "DO $$ BEGIN DELETE FROM trade_flows; END $$": "unread",
}
GOOD = [
    "WITH f AS (SELECT * FROM trade_flows) SELECT 1 FROM f a WHERE EXISTS (SELECT 1 FROM f b WHERE b.year = a.year)",
    "WITH a AS (SELECT year, value_usd FROM trade_flows WHERE reporter = 'KAZ'), b AS (SELECT year, value_usd FROM "
    "trade_flows WHERE reporter = 'CHN') SELECT a.year, a.value_usd - b.value_usd FROM a JOIN b ON a.year = b.year",
    "SELECT year, sum(CASE WHEN reporter = 'KAZ' THEN value_usd END), sum(CASE WHEN reporter = 'CHN' THEN value_usd "
    "END) FROM trade_flows WHERE reporter = 'KAZ' AND partner = 'CHN' OR reporter = 'CHN' AND partner = 'KAZ' "
    "GROUP BY year",
    "SELECT r.partner FROM (SELECT f.partner, rank() OVER (PARTITION BY f.reporter ORDER BY f.value_usd DESC) AS place "
    "FROM trade_flows f) AS r WHERE r.place <= %(top)s::INTEGER",
    "SELECT year FROM trade_flows UNION ALL SELECT year FROM trade_flows LIMIT 5",
    "SELECT year FROM trade_flows WHERE (year, partner) > (%(after0)s, %(after1)s) AND note LIKE '%%x' LIMIT 101",
    "SELECT f.year, c.name FROM trade_flows f JOIN countries c ON c.iso3 = f.reporter",
    "SELECT f.year FROM trade_flows f WHERE f.reporter IN (SELECT c.iso3 FROM countries c WHERE c.kind = 'economy')",
    "SELECT f.year FROM trade_flows f WHERE EXISTS (SELECT 1 FROM countries c WHERE c.iso3 = f.reporter)",
    "SELECT reporter, product FROM trade_flows EXCEPT SELECT reporter, product FROM trade_flows",
    "UPDATE trade_flows SET superseded_by = 9 FROM staged WHERE trade_flows.reporter = staged.reporter",
    "INSERT INTO trade_flows (reporter) SELECT reporter FROM staged ON CONFLICT (reporter) DO UPDATE SET "
    "note = excluded.note WHERE trade_flows.note IS DISTINCT FROM excluded.note",
    "INSERT INTO trade_flows (reporter) SELECT reporter FROM staged ON CONFLICT DO NOTHING",
    "WITH RECURSIVE tree AS (SELECT code FROM products UNION ALL SELECT p.code FROM products p JOIN tree t ON "
    "p.parent = t.code) SELECT code FROM tree OFFSET 3",
    "SELECT a.id FROM releases a JOIN releases b ON a.id = b.withdraws FOR UPDATE",
]


@pytest.mark.parametrize(("sql", "form"), BAD.items())
def test_a_form_that_citus_does_not_run_is_found(sql: str, form: str) -> None:
    assert ", ".join(refused(sql)) == form


@pytest.mark.parametrize("sql", GOOD)
def test_a_form_that_citus_runs_is_let_be(sql: str) -> None:
    assert refused(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT a.year FROM trade_flows a JOIN trade_flows b ON {SHARD}",
        f"SELECT a.year FROM trade_flows a, trade_flows b WHERE ({SHARD}) AND a.year > b.year",
        f"SELECT a.year FROM trade_flows a WHERE NOT EXISTS (SELECT 1 FROM trade_flows b WHERE {SHARD} AND b.year > 1)",
        f"UPDATE trade_flows a SET note = '' WHERE EXISTS (SELECT 1 FROM trade_flows b WHERE {SHARD})",
    ],
)
def test_flows_of_one_shard_may_meet_where_that_is_allowed(sql: str) -> None:
    assert refused(sql) in (["self-join"], ["correlated"])
    assert refused(sql, within_shards=True) == []
    for column in DISTRIBUTED_BY:
        apart = sql.replace(f"a.{column} = b.{column}", f"a.{column} < b.{column}")
        assert refused(apart, within_shards=True) == refused(sql)
    assert refused(sql.replace(" AND a.product", " OR a.product"), within_shards=True) == refused(sql)


# Statements: what the service and its commands ask of PostgreSQL


@contextmanager
def taken_down() -> Iterator[dict[str, None]]:
    """Take down every statement that is sent to PostgreSQL meanwhile, each once."""
    found: dict[str, None] = {}

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if connection.dialect.name == "postgresql":
            found[statement] = None

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


PEOPLE = {"organization": "astana-times", "raised_by": "gulnar-shaimergenova"}
VALUES = {
    **{"reporter": "KAZ,CHN", "country": "KAZ,CHN", "within": "WLD", "source": "astana-times-2025-06"},
    **{"product": "27,TOTAL", "classification": "H6,-", "product_level": "0,2", "year": "2023,2024"},
    **{
        "period": "2024,-",
        "year_from": "2020",
        "year_to": "2024",
        "stated_by": "self,kaz-bns",
        "breakdown": "-",
        "value_min": "1",
    },
    **{"value_max": "9000000000", "limit": "2", "share_min": "1", "share_max": "99.5", "theme": "technology"},
    **{"region": "Asia", "subregion": "Central Asia", "parent": "27", "section": "V", "by": "status"},
    **{"programme": "belt-and-road-initiative", "part_of": "belt-and-road-initiative", **PEOPLE},
}
"""What a parameter is asked by that has no example and no list of codes."""
ELSEWHERE = frozenset({"cursor", "fields", "sort", "release", "group_by", "share", "growth", "top", "top_of"})
"""Parameters that are asked by what an answer says, or in sums."""
LAID_OUT = frozenset({"format", "shape", "limit", "count"})
"""Parameters that narrow nothing."""
FURTHER = {"wide": "wide&frequency=A"}
"""What a value needs beside it."""


def values_of(parameter: dict[str, Any]) -> list[str]:
    """Give what a parameter is asked by: its example, its codes, or a value of ours."""
    form = parameter["schema"]
    if form["type"] == "boolean":
        return ["true"]
    if "enum" in form:
        return [FURTHER.get(str(one), str(one)) for one in form["enum"]]
    given = parameter.get("example") or form.get("items", {}).get("enum") or VALUES[parameter["name"]]
    return [",".join(map(str, given)) if isinstance(given, list) else str(given)]


def variants(path: str, but: frozenset[str] = frozenset()) -> Iterator[str]:
    """Give a path as its description asks it, and with each parameter beside but some."""
    yield URLS[path]
    for parameter in OPERATIONS[path].get("parameters", ()):
        if parameter["in"] == "query" and not parameter["required"] and parameter["name"] not in ELSEWHERE | but:
            yield from (more(path, f"{parameter['name']}={value}") for value in values_of(parameter))


def hold(statements: Iterable[str], within_shards: bool = False) -> None:
    """Hold statements to the forms that Citus runs, and at least one of them to be of the facts."""
    assert any(FACTS in sql for sql in statements)
    assert [(forms, sql) for sql in statements if (forms := refused(sql, within_shards))] == []


def ask(client: TestClient, urls: Iterable[str]) -> None:
    """Ask for answers; a refused one would prove nothing."""
    for url in urls:
        answer = client.get(url)
        assert answer.status_code == 200, (url, answer.text)


@pytest.fixture(scope="module")
def asking(workshop: Workshop) -> Iterator[TestClient]:
    """Give a client of a service over PostgreSQL that keeps no answer."""
    with counted(workshop.seeded("postgres")) as found:
        yield found.client


OF_FACTS = [path for path in OPERATIONS if path.startswith("/v1/trade/") and path != "/v1/trade/shares"]
FACT_LISTS = [path for path in OF_FACTS if path in LISTS]


@pytest.mark.parametrize("path", OF_FACTS)
def test_an_answer_about_trade_is_asked_in_forms_that_citus_runs(asking: TestClient, path: str) -> None:
    with taken_down() as found:
        ask(asking, variants(path))
    hold(found)


def test_every_other_answer_is_asked_in_forms_that_citus_runs(asking: TestClient) -> None:
    others = [path for path in OPERATIONS if path not in OF_FACTS and not path.startswith("/v1/charts/")]
    with taken_down() as found:
        for path in others:
            ask(asking, variants(path, LAID_OUT))
        ask(asking, (url for path, url in URLS.items() if path.endswith(".vl.json")))  # a client of the others
    hold(found)


def turn_pages(client: TestClient, path: str) -> None:
    """Ask for the first page of a list and the next by every field, in either direction in turn, as a refusal says."""
    fields = client.get(more(path, "sort=nothing")).json()["errors"][0]["allowed"]
    if path != FLOWS:
        fields = fields[::3]  # a sum is put in order when it is made, by whichever field
    for place, field in enumerate(fields):
        first = client.get(more(path, f"limit=1&sort={'-' * (place % 2)}{field}")).json()
        ask(client, [first["links"]["next"]])


@pytest.mark.parametrize("path", FACT_LISTS)
def test_every_order_and_its_next_page_is_in_forms_that_citus_runs(asking: TestClient, path: str) -> None:
    with taken_down() as found:
        turn_pages(asking, path)
    hold(found)


SHAPED = (
    *("flows?latest=true&value_min=1&sort=-year", "flows?shape=wide&frequency=A&limit=1&reporter=KAZ"),
    *("flows?product=27&level=6&fields=id", "totals?product=TOTAL,27&level=4&group_by=product&top=2&share=product"),
)
EMPTY = ("year=1990", "product=999999", "period=1990-Q3", "reporter=MNG&partner=TKM", "value_min=9000000000000000000")


def test_flows_that_are_laid_out_or_gathered_are_asked_in_forms_that_citus_runs(asking: TestClient) -> None:
    with taken_down() as found:
        ask(asking, (f"/v1/trade/{one}" for one in SHAPED))
    hold(found)


def test_an_empty_answer_is_explained_in_forms_that_citus_runs(asking: TestClient) -> None:
    nothing = [more(path, query) for path in FACT_LISTS for query in EMPTY]
    with taken_down() as found:
        ask(asking, [*nothing, "/v1/trade/compare?reporter=MNG&partner=TKM"])
    hold(found)


def sums() -> Iterator[str]:
    """Give sums by each dimension, each two of them and all, with what may be asked of each; some are refused."""
    parameters = {one["name"]: one["schema"] for one in OPERATIONS["/v1/trade/totals"]["parameters"]}
    every = parameters["group_by"]["items"]["enum"]
    for names in (*combinations(every, 1), *combinations(every, 2), tuple(every)):
        asked = [f"{word}={name}" for name in names for word in ("share", "top=2&top_of")]
        for beside in ("", "growth=true", *asked):
            yield f"/v1/trade/totals?group_by={','.join(names)}&{beside}".rstrip("&")


def test_every_sum_is_in_forms_that_citus_runs(asking: TestClient) -> None:
    with taken_down() as found:
        statuses = [asking.get(url).status_code for url in sums()]
    assert {*statuses} == {200, 422} and statuses.count(200) > statuses.count(422)
    hold(found)


SDMX = (
    *("data/TRADE", "data/TRADE/A+Q.KAZ.CHN......", "data/TRADE?startPeriod=2023&endPeriod=2024"),
    *("data/TRADE?firstNObservations=1", "data/TRADE?firstNObservations=1&lastNObservations=1"),
    *("data/TRADE?detail=serieskeysonly", "data/TRADE?dimensionAtObservation=AllDimensions", "data/TRADE?format=csv"),
    *("data/PROJECTS", "data/INDICATORS?lastNObservations=1", "dataflow?references=all", "codelist"),
    *("codelist/ALL/CL_PRODUCT", "availableconstraint/TRADE", "availableconstraint/TRADE/A.KAZ......./all/PARTNER"),
)


def test_sdmx_is_asked_in_forms_that_citus_runs(asking: TestClient) -> None:
    with taken_down() as found:
        ask(asking, (f"/sdmx/2.1/{one}" for one in SDMX))
    hold(found)


@pytest.fixture
def written_to(workshop: Workshop) -> Iterator[Database]:
    """Give a seeded PostgreSQL database that the test may change."""
    database = workshop.copy("postgres")
    yield database
    workshop.remove(database)


def test_seeds_are_published_in_forms_that_citus_runs(written_to: Database, tiny: Path) -> None:
    with taken_down() as found:
        seed(written_to, tiny, now=NOW)
        edit(tiny / "tiny" / "tiny.yaml", 'period: "2025-01/2025-03"', 'period: "2025-01/2025-04"')
        edit(tiny / "tiny" / "tiny.yaml", "Round fruit.", "Fruit.")
        seed(written_to, tiny, now=NOW)
    hold(found)


def imported(database: Database, folder: Path) -> list[int]:
    """Import a file, a revision of it with more, and one of BACI; give their releases."""
    first = written(folder / "first.csv", comtrade_text({"cmdCode": "01"}, {"cmdCode": "02"}, {"cmdCode": "02"}))
    second = written(folder / "second.csv", comtrade_text({"cmdCode": "01", "primaryValue": "7"}, {"cmdCode": "03"}))
    done = [
        take(database, first),
        take(database, second),
        take_baci(database, written(folder / "b.csv", baci_text({}))),
    ]
    assert all(one.release for one in done)
    return [one.release for one in done if one.release]


def test_files_are_imported_in_forms_that_citus_runs(written_to: Database, tmp_path: Path) -> None:
    with taken_down() as found:
        imported(written_to, tmp_path)
    hold(found)


def test_an_import_is_taken_back_within_shards(written_to: Database, tmp_path: Path) -> None:
    releases = imported(written_to, tmp_path)
    with taken_down() as found:
        for number in releases[1::-1]:
            withdraw(written_to, number)
    hold(found, within_shards=True)
    assert sum(bool(refused(sql)) for sql in found) == 2  # what ends, and what holds again


# The table


def unfit(table: Table, reference: Iterable[str]) -> list[str]:
    """Give why a table cannot be distributed by either column, beside tables that are whole on each node."""
    keys = [table.primary_key.columns, *(one.columns for one in table.constraints if isinstance(one, UniqueConstraint))]
    keys += [one.columns for one in table.indexes if one.unique]
    columns = [table.c[name] for name in DISTRIBUTED_BY]
    stored = [column for column in table.columns if column.computed is None]
    others = [other for other in table.metadata.tables.values() if other is not table]
    broken = {
        "key": any(not set(DISTRIBUTED_BY) <= {column.name for column in key} for key in keys),
        "null": any(column.nullable for column in columns),
        "key to another": any(one.column.table.name not in reference for one in table.foreign_keys),
        "key from another": any(one.column.table is table for other in others for one in other.foreign_keys),
        "set null": any(one.ondelete or one.onupdate for column in columns for one in column.foreign_keys),
        "small counter": is_counted(table),
        "generated": any(column.computed is not None or column.identity is not None for column in columns),
        "set by an update": any(column.onupdate or column.server_onupdate for column in stored),
        "changing default": any(map(has_changing_default, table.columns)),
        "trigger": bool(table.dispatch.after_create or table.dispatch.before_create),
    }
    return [name for name, is_broken in broken.items() if is_broken]


def has_changing_default(column: Column[Any]) -> bool:
    """Tell whether the database sets a column by more than a literal."""
    given = getattr(column.server_default, "arg", None)
    return given is not None and not re.fullmatch(r"'[^']*'|-?[0-9.]+", str(given))


def is_counted(table: Table) -> bool:
    """Tell whether a column of a table numbers itself with less than 64 bits."""
    numbering = [column for column in table.columns if column.identity or column is table.autoincrement_column]
    return any(not isinstance(column.type, BigInteger) for column in numbering)


def distributed(*more: Any, rules: tuple[Any, ...] = ()) -> Table:
    """Give a table that can be distributed, but for what is added to it or to its reporter."""
    metadata = MetaData()
    Table("countries", metadata, Column("iso3", String, primary_key=True))
    Table("local", metadata, Column("id", BigInteger, primary_key=True, autoincrement=False))
    reporter = Column("reporter", String, *rules, primary_key=True)
    return Table("facts", metadata, reporter, Column("product", String, primary_key=True), *more)


def with_other(table: Table) -> Table:
    """Give a table to which another refers."""
    columns = [Column(name, String) for name in DISTRIBUTED_BY]
    whole = [f"facts.{name}" for name in DISTRIBUTED_BY]
    Table("more", table.metadata, *columns, ForeignKeyConstraint(DISTRIBUTED_BY, whole))
    return table


def with_trigger(table: Table) -> Table:
    """Give a table that brings a trigger with it."""
    event.listen(table, "after_create", DDL("CREATE TRIGGER t BEFORE INSERT ON facts EXECUTE FUNCTION f()"))
    return table


UNFIT = [
    (distributed(Column("id", BigInteger), UniqueConstraint("id")), "key"),
    (distributed(Column("id", BigInteger), Index("u", "id", "reporter", unique=True)), "key"),
    (distributed(Column("id", BigInteger, unique=True)), "key"),
    (distributed(Column("of", ForeignKey("local.id"))), "key to another"),
    (with_other(distributed()), "key from another"),
    (distributed(rules=(ForeignKey("countries.iso3", ondelete="SET NULL"),)), "set null"),
    (distributed(Column("id", Integer, Identity())), "small counter"),
    (distributed(Column("id", Integer, primary_key=True, autoincrement=True)), "small counter"),
    (distributed(rules=(Computed("upper(product)"),)), "generated"),
    (distributed(Column("at", String, onupdate=func.now())), "set by an update"),
    (distributed(Column("at", String, onupdate=lambda: "now")), "set by an update"),
    (distributed(Column("at", String, server_default=func.now())), "changing default"),
    (distributed(Column("at", String, server_default=text("clock_timestamp()"))), "changing default"),
    (with_trigger(distributed()), "trigger"),
]
FIT = [
    distributed(),
    distributed(Column("id", BigInteger, Identity()), UniqueConstraint("id", "product", "reporter")),
    distributed(Column("partner", ForeignKey("countries.iso3")), Index("i", "partner")),
    distributed(Column("doubled", Integer, Computed("1 + 1"))),
    distributed(Column("mark", String, server_default=text("'-'"))),
]


@pytest.mark.parametrize(("table", "why"), UNFIT)
def test_a_table_that_cannot_be_distributed_is_found(table: Table, why: str) -> None:
    assert unfit(table, {"countries"}) == [why]


@pytest.mark.parametrize("table", FIT)
def test_a_table_that_can_be_distributed_is_let_be(table: Table) -> None:
    assert unfit(table, {"countries"}) == []


def test_the_facts_can_be_distributed_by_reporter_and_by_product() -> None:
    tables = Base.metadata.tables
    assert unfit(tables[FACTS], set(tables) - {FACTS}) == []


def test_foreign_keys_lead_to_releases_alone_and_none_from_the_facts() -> None:
    keys = {(name, one.target_fullname) for name, table in Base.metadata.tables.items() for one in table.foreign_keys}
    assert {target for _, target in keys} == {"releases.id"}
    assert FACTS not in {name for name, _ in keys}


def test_no_table_but_that_of_search_numbers_its_rows_itself() -> None:
    numbered = {name for name, table in Base.metadata.tables.items() if is_counted(table)}
    assert numbered == {"search_entries"}  # 32 bits: it must be written over the coordinator, as publishing does


def test_no_column_of_any_table_is_set_by_the_database() -> None:
    for table in Base.metadata.tables.values():
        for column in table.columns:
            assert (column.onupdate, column.server_onupdate, column.server_default) == (None, None, None), column


CATALOGUE = {
    "triggers": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    "defaults and generated columns": f"SELECT adnum FROM pg_attrdef WHERE adrelid = '{FACTS}'::regclass",
    "foreign keys": "SELECT conname FROM pg_constraint WHERE contype = 'f' "
    f"AND '{FACTS}'::regclass IN (conrelid, confrelid)",
    "unique indexes without both columns": "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indisunique "
    f"AND i.indrelid = '{FACTS}'::regclass AND 2 > (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = i.indrelid "
    "AND a.attnum = ANY(i.indkey) AND a.attname IN ('reporter', 'product'))",
}


@pytest.mark.parametrize("what", CATALOGUE)
def test_what_the_migrations_make_has_nothing_that_cannot_be_distributed(workshop: Workshop, what: str) -> None:
    with workshop.seeded("postgres").read() as connection:
        assert connection.execute(text(CATALOGUE[what])).all() == []
