"""The interactive documentation: worked examples by task, each runnable as it is, above every path of the API."""

from dataclasses import dataclass
from typing import Any

from app.web.page import Page, View


@dataclass(frozen=True)
class Example:
    """A request that answers a question."""

    question: str
    path: str
    look: str  # what to look at in the answer


@dataclass(frozen=True)
class Task:
    """What a reader is here to do."""

    title: str
    examples: tuple[Example, ...]


TASKS = (
    Task(
        "Trade by country and year",
        (
            Example(
                "What is stated of Kazakhstan's trade in 2024?",
                "/v1/trade/flows?country=kazakhstan&year=2024",
                "Each row is one statement: value_usd, who states it, and its evidence.",
            ),
            Example(
                "Only exports to China, the columns I need, as a spreadsheet",
                "/v1/trade/flows?reporter=KAZ&partner=CHN&flow=export&fields=period,value_usd,source,method&format=csv",
                "The same rows in any format: csv, xlsx, parquet, ndjson.",
            ),
            Example(
                "Which countries, years and sources are there?",
                "/v1/trade/coverage",
                "Start here when an answer is empty.",
            ),
        ),
    ),
    Task(
        "Two numbers for one trade",
        (
            Example(
                "How far apart are the statements on Kazakhstan and China?",
                "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024",
                "gap says how far, and whether freight and insurance could explain it.",
            ),
            Example(
                "Which published figures do not agree with each other?",
                "/v1/checks?verdict=conflicts",
                "Each check names its figures and its arithmetic.",
            ),
        ),
    ),
    Task(
        "Projects by status",
        (
            Example(
                "What is stated by status?",
                "/v1/projects/summary",
                "Portfolios beside the named projects; they are never added.",
            ),
            Example(
                "Which named projects are in use?",
                "/v1/projects?status=operational",
                "What the source does not say is null.",
            ),
        ),
    ),
    Task(
        "Where does this number come from?",
        (
            Example(
                "The receipt of 43.82 billion",
                "/v1/figures/at-2024-chn-kaz-total",
                "exact has the words, lower and upper what its digits allow.",
            ),
            Example(
                "Every figure of the article, in order",
                "/v1/figures?source=astana-times-2025-06&limit=10",
                "start and end are places in its text.",
            ),
        ),
    ),
    Task(
        "Who said what?",
        (
            Example(
                "What did one expert say?",
                "/v1/quotes?expert=gulnar-shaimergenova",
                "text is verbatim only where kind is direct.",
            ),
            Example(
                "Everything on railways",
                "/v1/search?q=railway",
                "Every kind of record, each with its path.",
            ),
        ),
    ),
    Task(
        "Take it with you",
        (
            Example(
                "A whole table as a file",
                "/v1/exports",
                "csv and Parquet, with the release and SHA-256 of each.",
            ),
            Example(
                "The same answer for ever",
                "/v1/trade/flows?reporter=KAZ&partner=CHN&release=3",
                "release pins what you cite.",
            ),
            Example(
                "The same data for SDMX tools",
                "/sdmx/2.1/data/TRADE/all?lastNObservations=1",
                "sdmx1, pysdmx and R read it as it is.",
            ),
        ),
    ),
)


async def docs(_: Page) -> dict[str, Any]:
    """Give the examples."""
    return {"tasks": TASKS}


VIEWS = (View("/docs", "docs.html", docs),)
