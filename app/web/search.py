"""`/search`: every record that has the words, by kind, each on the page that shows it."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from app.letters import bare
from app.search import Term, read_terms
from app.web.forms import Form, FormView, asked
from app.web.page import Page, Query, cursor_of
from app.web.trade import counted

SEARCH = "/v1/search"
ROWS = 50
"""Results of a page."""
MOST = 1000
"""Results up to which each kind is counted."""
EXCERPT = 320
"""Characters of a body that are shown."""
BEFORE = 90
"""Characters of them that stand before the first word found."""
TOKEN = re.compile(r"[^\W_]+")

Row = dict[str, Any]
Place = tuple[str, Query, str]
"""A page by path, parameters and fragment."""
KINDS = {
    "projects": ("Project", "Projects"),
    "project_portfolios": ("Portfolio of projects", "Portfolios"),
    "programmes": ("Programme", "Programmes"),
    "figures": ("Figure", "Figures"),
    "quotes": ("Quote", "Quotes"),
    "experts": ("Person", "People"),
    "organizations": ("Organization", "Organizations"),
    "risks": ("Risk or answer", "Risks and answers"),
    "topics": ("Topic", "Topics"),
    "events": ("Event", "Events"),
    "indicators": ("Indicator", "Indicators"),
    "checks": ("Check", "Checks"),
    "countries": ("Country", "Countries"),
    "products": ("Product", "Products"),
    "sources": ("Source", "Sources"),
}
"""What one record of a kind is called, and many; in the order in which they are offered."""
PLACES: dict[str, Callable[[Row], Place]] = {
    "figures": lambda row: (f"/figures/{row['record_key']}", {}, ""),
    "experts": lambda row: (f"/people/{row['record_key']}", {}, ""),
    "quotes": lambda row: (f"/people/{row['title']}", {}, row["record_key"]),
    "topics": lambda row: ("/people", {"topic": row["record_key"]}, ""),
    "risks": lambda row: ("/people", {"topic": row["title"]}, row["record_key"]),
    "projects": lambda row: ("/projects", {}, row["record_key"]),
    "project_portfolios": lambda row: ("/projects", {}, row["record_key"]),
    "programmes": lambda row: ("/projects", {"programme": row["record_key"]}, ""),
    "checks": lambda _: ("/", {}, "checks"),
    "countries": lambda row: ("/trade", {"country": row["record_key"]}, ""),
    "products": lambda row: ("/trade", {"product": row["record_key"]}, ""),
    "sources": lambda row: (f"/sources/{row['record_key']}", {}, ""),
}
"""Pages that show a record; all else is shown by /v1."""
TRIES = ("railway", "Kazakhstan", "transit", "dependen*", '"dry port"', "copper", "$43.8", "Shaimergenova")
"""Searches that find something in the article and the reference data."""


async def search(page: Page) -> dict[str, Any]:
    """Give what the page of a search shows; without words, how to search. Raises Refused."""
    form = Form(page.query)
    words = page.query.get("q")
    found = await asked(page, form, SEARCH, {"limit": ROWS, **page.query}) if words else None
    rows = found["data"] if found else []
    every = {"q": words, "source": page.query.get("source"), "fields": "record", "limit": MOST}
    tally = await page.answer(SEARCH, every) if found else None
    settings = page.request.app.state.service.settings
    terms = read_terms(words) if words and found else ()
    return {
        "form": form,
        "found": found,
        "results": [result(page, row, terms) for row in rows],
        "kinds": KINDS,
        "counts": Counter(row["record"] for row in tally["data"]) if tally and not tally["links"]["next"] else None,
        "all": tally["meta"]["total"] if tally else None,
        "counted": counted(found, settings.count_limit).replace("row", "result") if found else None,
        "empty": found["meta"].get("why_empty") if found else None,
        "after": cursor_of(found) if found else None,
        "tries": TRIES,
        **await spoken(page, rows),
    }


def result(page: Page, row: Row, terms: tuple[Term, ...]) -> Row:
    """Give a result with its page and its words, those that were searched for apart."""
    given = PLACES.get(row["record"])
    path = unquote(row["path"].partition("?")[0]).removeprefix(page.at)
    place, query, fragment = given(row) if given else (path, {}, "")
    lines = list(dict.fromkeys(filter(None, row["body"].split("\n"))))
    return {
        **row,
        "link": page.link(place, query) + (f"#{quote(fragment)}" if fragment else ""),
        "v1": path,
        "heading": marked(row["title"], terms),
        "lines": [marked(excerpt(line, terms), terms) for line in lines[:3]],
    }


def is_found(token: str, terms: tuple[Term, ...]) -> bool:
    """Tell whether a word is one of those that were searched for."""
    word = bare(token)
    return any(
        word == one or (term.is_prefix and one == term.words[-1] and word.startswith(one))
        for term in terms
        for one in term.words
    )


def marked(text: str, terms: tuple[Term, ...]) -> list[tuple[str, bool]]:
    """Give a text in pieces, and of each whether it was searched for."""
    pieces, at = [], 0
    for match in TOKEN.finditer(text):
        if is_found(match[0], terms):
            pieces += [(text[at : match.start()], False), (match[0], True)]
            at = match.end()
    return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]


def excerpt(text: str, terms: tuple[Term, ...]) -> str:
    """Give a text as it is, or a part of a long one around the first word that was searched for."""
    if len(text) <= EXCERPT:
        return text
    first = next((match.start() for match in TOKEN.finditer(text) if is_found(match[0], terms)), 0)
    start = text.rfind(" ", 0, first - BEFORE) + 1 if first > BEFORE else 0
    end = text.rfind(" ", start, start + EXCERPT)
    part = text[start : end if end > start else start + EXCERPT]
    return f"{'… ' if start else ''}{part}{' …' if start + len(part) < len(text) else ''}"


async def spoken(page: Page, rows: list[Row]) -> dict[str, dict[str, str]]:
    """Give who says the quotes among results, and of which kind each is. Raises Refused."""
    quotes = [row for row in rows if row["record"] == "quotes"]
    if not quotes:
        return {"speakers": {}, "quoted": {}}
    experts = sorted({row["title"] for row in quotes})
    asks = {"expert": experts, "q": page.query["q"], "fields": "id,kind,expert,expert_name", "limit": 1000}
    found = (await page.answer("/v1/quotes", asks))["data"]
    return {
        "speakers": {row["expert"]: row["expert_name"] for row in found},
        "quoted": {row["id"]: row["kind"] for row in found},
    }


VIEWS = (FormView("/search", "search.html", search, ("q", "record", "source", "cursor")),)
