"""The words behind records: evidence of a page of rows in one query, and how to cite a figure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, select

from app.formats.base import Cited
from app.models import Evidence, Source
from app.names import visible


class EvidenceItem(BaseModel):
    """The words behind one field, as they stand in the source."""

    field: str
    figure: str | None = Field(description="id of the figure; null where the words hold no number")
    exact: str = Field(description="verbatim fragment")
    start: int = Field(description="code points from the start of the text")
    end: int = Field(description="code points from the start of the text, exclusive")


def evidence_of(
    connection: Connection, record: str, keys: Sequence[str], release: int
) -> Mapping[str, list[dict[str, Any]]]:
    """Give the evidence of several records by their keys, in the order of the text."""
    query = (
        select(Evidence.record_key, Evidence.field, Evidence.figure, Evidence.exact, Evidence.start, Evidence.end)
        .where(Evidence.record == record, Evidence.record_key.in_(keys), visible(Evidence, release))
        .order_by(Evidence.record_key, Evidence.start, Evidence.field)
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, field, figure, exact, start, end in connection.execute(query):
        found[key].append({"field": field, "figure": figure, "exact": exact, "start": start, "end": end})
    return found


def cited(connection: Connection, slugs: Collection[str], release: int) -> list[Cited]:
    """Give sources with how to cite them, in the order of their slugs."""
    names = ("slug", "title", "publisher", "published_on", "url", "licence")
    query = select(*(getattr(Source, name) for name in names)).where(
        Source.slug.in_(sorted(slugs)), visible(Source, release)
    )
    return [
        Cited(slug, title, publisher, day and day.isoformat(), url, licence, cite_source(publisher, day, title, url))
        for slug, title, publisher, day, url, licence in connection.execute(query.order_by(Source.slug))
    ]


def cite_source(publisher: str, published: date | None, title: str, url: str | None) -> str:
    """Give a citation of a source as text; an unknown date is said to be."""
    year = str(published.year) if published else "n.d."
    return f"{publisher} ({year}). {title}.{f' {url}' if url else ''}"


class Citation(BaseModel):
    """How to cite a figure."""

    text: str
    bibtex: str


def cite(figure: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, str]:
    """Give a citation of a figure in its source as text and as BibTeX; an unknown date is said to be."""
    published: date | None = source["published_on"]
    year = str(published.year) if published else "n.d."
    voice = f", stated by {figure['stated_by_name']}" if figure["stated_by"] else ""
    place = f"characters {figure['start']} to {figure['end']}"
    text = (
        f"{source['publisher']} ({year}). {source['title']}. “{figure['as_stated']}”{voice}, {place} "
        f"(Khorgos figure {figure['id']})."
    )
    entries = {
        "title": source["title"],
        "author": f"{{{source['publisher']}}}",
        "year": year if published else None,
        "url": source["url"],
        "note": f"Figure {figure['id']}: {figure['as_stated']}, {place}",
    }
    lines = "".join(f"  {name} = {{{escape_tex(value)}}},\n" for name, value in entries.items() if value)
    return {"text": text, "bibtex": f"@misc{{{figure['id']},\n{lines}}}"}


def escape_tex(text: str) -> str:
    """Keep TeX's own characters out of a BibTeX field, braces apart."""
    return "".join(f"\\{char}" if char in "%$&#_" else char for char in text)
