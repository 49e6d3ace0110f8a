"""Imports, seeds and withdrawals in any order, held against a model: the current release, and every one before."""

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import Workshop, times
from direct import Direct, direct
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tiny import newest, write
from trade_files import comtrade_text, take, written

from app.errors import CannotWithdraw
from app.ingest.seeds import seed
from app.ingest.withdraw import withdraw

SOURCE = "un-comtrade"
HEAD = "sources:\n  - {slug: tiny, kind: article, title: Tiny, publisher: Nobody, language: en}\n"
VALUES = some.dictionaries(some.sampled_from(("01", "02", "03", "04")), some.integers(1, 3), min_size=1)
TOPICS = some.dictionaries(some.sampled_from(("apples", "pears", "plums")), some.sampled_from(("red", "green")))
State = tuple[dict[str, int], dict[str, str]]
"""Value of each imported product, summary of each topic of the seeds."""


class Publishing(RuleBasedStateMachine):
    """A database that is published to, and what it must hold."""

    workshop: Workshop
    engine: str
    told: Counter[str]

    @initialize()
    def make(self) -> None:
        """Begin with the seeds that ship."""
        self.database = self.workshop.copy(self.engine)
        self.stack = ExitStack()
        self.service: Direct = self.stack.enter_context(direct(self.database, release_ttl=0))
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        (self.folder / "seeds").mkdir()
        self.releases: dict[int, State] = {newest(self.database): ({}, {})}
        self.imports: dict[int, tuple[dict[str, int], bool]] = {}
        """What each import that holds brought, and whether it repeated rows that were there."""

    @property
    def state(self) -> State:
        """What the current release holds."""
        return self.releases[max(self.releases)]

    def published(self, number: int, values: dict[str, int], topics: dict[str, str]) -> None:
        """Note a release, which is the one after the newest."""
        assert number == max(self.releases) + 1 == newest(self.database)
        self.releases[number] = values, topics

    @rule(values=VALUES)
    def take_in(self, values: dict[str, int]) -> None:
        """Import a file."""
        self.told["imports"] += 1
        rows = [{"cmdCode": code, "primaryValue": str(value)} for code, value in values.items()]
        before, topics = self.state
        done = take(self.database, written(self.folder / f"{self.told.total()}.csv", comtrade_text(*rows)))
        if values.items() <= before.items():
            assert done.release is None
            return
        assert done.release is not None
        self.published(done.release, {**before, **values}, topics)
        brought = {code: value for code, value in values.items() if before.get(code) != value}
        self.imports[done.release] = brought, len(brought) < len(values)

    @rule(topics=TOPICS)
    def seed_anew(self, topics: dict[str, str]) -> None:
        """Publish a seed folder that was edited."""
        self.told["seeds"] += 1
        lines = [f"  - {{slug: {slug}, name: {slug}, summary: {summary}}}\n" for slug, summary in topics.items()]
        write(self.folder / "seeds" / "tiny", HEAD + ("topics:\n" + "".join(lines) if lines else ""))
        values, before = self.state
        numbers = seed(self.database, self.folder / "seeds")
        if numbers:
            self.published(numbers[0], values, topics)
        else:
            assert topics == before

    @rule(data=some.data())
    def take_back(self, data: Any) -> None:
        """Withdraw a release, or be refused and change nothing."""
        self.told["withdrawals tried"] += 1
        number = data.draw(some.sampled_from((*self.imports, *self.releases, 99)))
        holds = self.imports.get(number)
        repeated = any(again for later, (_, again) in self.imports.items() if later > number)
        if holds is None or repeated:
            with pytest.raises(CannotWithdraw):
                withdraw(self.database, number)
            assert newest(self.database) == max(self.releases)
            return
        self.told["withdrawals done"] += 1
        later = withdraw(self.database, number)
        del self.imports[number]
        values: dict[str, int] = {}
        for _, (brought, _) in sorted(self.imports.items()):
            values |= brought
        self.published(later, values, self.state[1])

    @rule(data=some.data())
    def read_pinned(self, data: Any) -> None:
        """Read any release: it says what it said when it was the newest."""
        self.told["reads of a past release"] += 1
        number = data.draw(some.sampled_from(sorted(self.releases)))
        assert self.read(number) == self.releases[number]

    @invariant()
    def current_release_is_that_of_the_model(self) -> None:
        """Read the current release."""
        if hasattr(self, "releases"):
            assert self.read(None) == self.state

    def read(self, release: int | None) -> State:
        """Give what a release holds, as `/v1` answers it; a source that it does not know holds nothing."""
        pinned = f"&release={release}" if release else ""
        flows = self.service.ask(f"/v1/trade/flows?source={SOURCE}&fields=product,value_usd&limit=1000{pinned}")
        topics = self.service.ask(f"/v1/topics?source=tiny&fields=slug,summary&limit=1000{pinned}")
        assert {flows.status, topics.status} <= {200, 422}, (flows.body, topics.body)
        found = [one.json()["data"] if one.status == 200 else [] for one in (flows, topics)]
        return {row["product"]: row["value_usd"] for row in found[0]}, {row["slug"]: row["summary"] for row in found[1]}

    def teardown(self) -> None:
        """Take the database away."""
        if hasattr(self, "stack"):
            self.stack.close()
            self.workshop.remove(self.database)


def hold(engine: str, workshop: Workshop, wanted: int, record_property: Any) -> None:
    """Publish in any order until so many steps are done."""
    machine = type("Machine", (Publishing,), {"workshop": workshop, "engine": engine, "told": Counter()})
    while machine.told.total() < wanted:
        run_state_machine_as_test(machine, settings=settings(max_examples=times(4, 60), stateful_step_count=15))
    told = ", ".join(f"{number:,} {what}" for what, number in sorted(machine.told.items()))
    record_property("figure", f"{machine.told.total():,} steps on {engine}: {told}")


@pytest.mark.torture
def test_any_order_of_publications_is_that_of_a_model(workshop: Workshop, record_property: Any) -> None:
    hold("sqlite", workshop, times(50, 2000), record_property)


@pytest.mark.long
def test_any_order_of_publications_is_that_of_a_model_on_postgres(workshop: Workshop, record_property: Any) -> None:
    hold("postgres", workshop, 2000, record_property)
