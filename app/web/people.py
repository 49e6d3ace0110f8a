"""People: who speaks, what they said by topic, those who speak of one topic side by side, risks beside answers."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app import codes
from app.web.page import ALL, Page, View, cursor_of

ROWS = 100
"""Quotes or people of a page."""
BOARDS = 8
"""Topics that are shown side by side where no topic is asked for."""
FEW = 3
"""Quotes of a speaker on such a topic; the topic's own page has the others."""
SHOWN = "id,expert,expert_name,kind,text,exact,topics,source,section,start,end,speaker_basis,continues"
ROLES = {one.value: one.label for one in codes.Role}

Row = dict[str, Any]


async def people(page: Page) -> dict[str, Any]:
    """Give what the page of people shows: everyone, or one topic. Raises Refused."""
    topic, cursor = page.query.get("topic"), page.query.get("cursor")
    said = await page.every("/v1/quotes", {"fields": "id,expert,kind,topics"})
    topics = {one["slug"]: one for one in await page.every("/v1/topics", {})}
    heard = speakers(said)
    first = sorted(heard, key=lambda slug: (-len(heard[slug]), -sum(heard[slug].values()), slug))
    shared = [slug for slug in first if len(heard[slug]) > 1]
    asked = {"topic": topic, "limit": ROWS, "cursor": cursor} if topic else {"topic": shared[:BOARDS], "limit": ALL}
    quotes: Row = {"data": [], "links": {"self": "", "next": None}}
    if topic or shared:
        quotes = await page.answer("/v1/quotes", {**asked, "fields": SHOWN})
    chosen = parse_qs(urlsplit(quotes["links"]["self"]).query)["topic"][0].split(",") if topic else shared[:BOARDS]
    found = await page.answers(
        experts=("/v1/experts", {"limit": ROWS, "cursor": None if topic else cursor}),
        risks=("/v1/risks", {"theme": chosen if topic else None, "limit": ROWS}),
    )
    return {
        "topic": topic,
        "topics": topics,
        "heard": heard,
        "first": first,
        "shared": shared,
        "boards": [(slug, beside(quotes["data"], slug)) for slug in chosen],
        "few": None if topic else FEW,
        "experts": found["experts"],
        "counts": counts(said),
        "themes": themes(found["risks"]["data"]),
        "risks": found["risks"]["meta"]["total"],
        "roles": ROLES,
        "after": cursor_of(quotes if topic else found["experts"]),
    }


def speakers(said: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Give for each topic who speaks of it, with how many quotes."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for quote in said:
        for topic in quote["topics"]:
            found[topic][quote["expert"]] += 1
    return found


def counts(said: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Give for each speaker how many quotes there are of each kind."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(codes.QuoteKind, 0))
    for quote in said:
        found[quote["expert"]][quote["kind"]] += 1
    return found


def beside(quotes: Iterable[Row], topic: str) -> list[list[Row]]:
    """Give the quotes on a topic, one list a speaker, in the order in which they begin to speak."""
    found: dict[str, list[Row]] = defaultdict(list)
    for quote in quotes:
        if topic in quote["topics"]:
            found[quote["expert"]].append(quote)
    return list(found.values())


def themes(risks: Iterable[Row]) -> dict[str, dict[str, list[Row]]]:
    """Give risks and mitigations by theme; themes that have both come first."""
    found: dict[str, dict[str, list[Row]]] = defaultdict(lambda: {kind.value: [] for kind in codes.RiskKind})
    for risk in risks:
        found[risk["theme"]][risk["kind"]].append(risk)
    return dict(sorted(found.items(), key=lambda item: (not all(item[1].values()), item[0])))


async def person(page: Page) -> dict[str, Any]:
    """Give what the page of a person shows. Raises Refused."""
    slug, topic = page.request.path_params["slug"], page.query.get("topic")
    expert = (await page.answer(f"/v1/experts/{slug}"))["data"]
    found = await page.answers(
        quotes=("/v1/quotes", {"expert": slug, "limit": ROWS, "topic": topic, "cursor": page.query.get("cursor")}),
        figures=("/v1/figures", {"stated_by": slug, "limit": ROWS}),
        risks=("/v1/risks", {"raised_by": slug, "limit": ROWS}),
        topics=("/v1/topics", {"limit": ALL}),
        every=("/v1/quotes", {"expert": slug, "fields": "topics,kind,id,expert", "limit": ALL}),
    )
    quotes = found["quotes"]["data"]
    return {
        "expert": expert,
        "role": ROLES[expert["role"]],
        "topic": topic,
        "topics": {one["slug"]: one for one in found["topics"]["data"]},
        "heard": {name: sum(by.values()) for name, by in speakers(found["every"]["data"]).items()},
        "counts": counts(found["every"]["data"])[slug],
        "groups": grouped(quotes),
        "after": cursor_of(found["quotes"]),
        "figures": found["figures"],
        "risks": found["risks"]["data"],
    }


def grouped(quotes: Iterable[Row]) -> dict[str, list[Row]]:
    """Give quotes under the first of their topics, each once, in the order of the text."""
    found: dict[str, list[Row]] = defaultdict(list)
    for quote in quotes:
        found[next(iter(quote["topics"]), "")].append(quote)
    return found


VIEWS = (
    View("/people", "people.html", people, ("topic", "cursor")),
    View("/people/{slug}", "person.html", person, ("topic", "cursor")),
)
