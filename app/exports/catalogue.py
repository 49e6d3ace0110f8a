"""The catalogue as linked data: each table a Dataset of schema.org and of DCAT, its files, and what it is based on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.exports.facts import Facts, Place, TableFacts
from app.exports.package import SPDX, licence_link, licences_of
from app.exports.tables import FORMATS, Table
from app.formats.base import Cited, Kind

CONTEXT: dict[str, Any] = {
    "@vocab": "https://schema.org/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    **{name: {"@type": "@id"} for name in ("url", "contentUrl", "license")},
    **{f"dcat:{name}": {"@type": "@id"} for name in ("accessURL", "downloadURL", "landingPage", "mediaType")},
    **{name: {"@type": "@id"} for name in ("dct:license", "dct:source", "dcat:dataset", "dcat:distribution")},
    "dcat:startDate": {"@type": "xsd:date"},
    "dcat:endDate": {"@type": "xsd:date"},
    "dct:issued": {"@type": "xsd:dateTime"},
}
MEDIA = "https://www.iana.org/assignments/media-types/"
PUBLISHER = {"@id": "#publisher", "@type": ["Organization"], "name": "Khorgos"}
UNITS = {"_usd": "US dollars", "_percent": "percent", "_kg": "kilograms"}
"""Units by the end of a field's name."""
MEASURES = ("value", "jobs", "project_count", "agreements_count", "rank", "share_lower", "share_upper")
"""Fields that are measured, beside those whose name has a unit."""


def catalogue(tables: Iterable[Table], facts: Facts) -> dict[str, Any]:
    """Describe a release as one graph. Every address is relative to the document, which knows no host."""
    tables = tuple(tables)
    graph = [whole(tables, facts), PUBLISHER]
    for table in tables:
        graph.append(dataset(table, facts))
        graph += [distribution(table, facts, name) for name in FORMATS]
    graph += [based_on(one) for one in facts.sources.values()]
    places = {place.code: place for known in facts.tables.values() for place in known.places}
    graph += [place_of(places[code]) for code in sorted(places)]
    return {"@context": CONTEXT, "@graph": graph}


def whole(tables: Iterable[Table], facts: Facts) -> dict[str, Any]:
    """Describe the catalogue itself."""
    references = [{"@id": f"#{table.name}"} for table in tables]
    title = "Khorgos: trade and projects of China and Central Asia"
    return {
        "@id": "#catalogue",
        "@type": ["DataCatalog", "dcat:Catalog"],
        **named(title, "Every figure traced to the words of its source."),
        **published(facts),
        "url": "v1/exports",
        "dataset": references,
        "dcat:dataset": references,
    }


def dataset(table: Table, facts: Facts) -> dict[str, Any]:
    """Describe a table."""
    known = facts.tables[table.name]
    files = [{"@id": f"#{table.name}.{name}"} for name in FORMATS]
    sources = [{"@id": address(slug)} for slug in known.sources]
    found = {
        "@id": f"#{table.name}",
        "@type": ["Dataset", "dcat:Dataset"],
        **named(table.title, sentence(table, known)),
        **published(facts),
        "identifier": table.name,
        "dct:identifier": table.name,
        "url": table.path.removeprefix("/"),
        "dcat:landingPage": table.path.removeprefix("/"),
        "isAccessibleForFree": True,
        "includedInDataCatalog": {"@id": "#catalogue"},
        **licences([facts.sources[slug] for slug in known.sources]),
        **when(known),
        **where(known),
        "variableMeasured": variables(known),
        "isBasedOn": sources,
        "dct:source": sources,
        "distribution": files,
        "dcat:distribution": files,
    }
    return {name: value for name, value in found.items() if value != []}


def sentence(table: Table, known: TableFacts) -> str:
    """Say what a table is, in the length that search engines ask for."""
    return f"{table.description} {known.rows:,} rows, one a record, each with the source that states it."


def named(title: str, text: str) -> dict[str, Any]:
    """Give a name and a description in both vocabularies."""
    return {"name": title, "dct:title": title, "description": text, "dct:description": text}


def published(facts: Facts) -> dict[str, Any]:
    """Say who publishes, when and as which version, in both vocabularies."""
    who, version = {"@id": PUBLISHER["@id"]}, str(facts.release)
    return {
        "publisher": who,
        "dct:publisher": who,
        "datePublished": facts.published,
        "dct:issued": facts.published,
        "version": version,
        "dcat:version": version,
    }


def distribution(table: Table, facts: Facts, name: str) -> dict[str, Any]:
    """Describe a file of a table."""
    link = f"v1/exports/{table.name}.{FORMATS[name].suffix}?release={facts.release}"
    media = FORMATS[name].media_type.partition(";")[0]
    return {
        "@id": f"#{table.name}.{name}",
        "@type": ["DataDownload", "dcat:Distribution"],
        "name": f"{table.title} ({name})",
        "dct:title": f"{table.title} ({name})",
        "contentUrl": link,
        "dcat:downloadURL": link,
        "dcat:accessURL": link,
        "encodingFormat": media,
        "dcat:mediaType": MEDIA + media,
    }


def licences(sources: Sequence[Cited]) -> dict[str, Any]:
    """Give the licences that the sources of a table state; where one states none, none is told of the whole."""
    links = [licence_link(one) for one in licences_of(sources)]
    return {"license": links, "dct:license": links} if links else {}


def when(known: TableFacts) -> dict[str, Any]:
    """Give the days that a table covers; nothing where none is dated."""
    if known.first is None or known.last is None:
        return {}
    first, last = known.first.isoformat(), known.last.isoformat()
    period = {"@type": "dct:PeriodOfTime", "dcat:startDate": first, "dcat:endDate": last}
    return {"temporalCoverage": f"{first}/{last}", "dct:temporal": period}


def where(known: TableFacts) -> dict[str, Any]:
    """Give the countries that a table is about."""
    places = [{"@id": f"v1/countries/{one.code}"} for one in known.places]
    return {"spatialCoverage": places, "dct:spatial": places} if places else {}


def place_of(one: Place) -> dict[str, Any]:
    """Describe a country."""
    named_so = {"name": one.name, "dct:title": one.name}
    return {"@id": f"v1/countries/{one.code}", "@type": ["Place", "dct:Location"], **named_so, "identifier": one.code}


def variables(known: TableFacts) -> list[dict[str, Any]]:
    """Give the fields that are measured, with their units."""
    found = []
    for column in known.columns:
        unit = next((unit for end, unit in UNITS.items() if column.name.endswith(end)), None)
        if column.kind in (Kind.INTEGER, Kind.NUMBER) and (unit or column.name in MEASURES):
            told: Mapping[str, Any] = {"name": column.name, "description": column.description, "unitText": unit}
            found.append({"@type": "PropertyValue", **{name: value for name, value in told.items() if value}})
    return found


def based_on(one: Cited) -> dict[str, Any]:
    """Describe a source, with its licence where it states one: an identifier of SPDX by its page, else in its words."""
    is_known = bool(one.licence and SPDX.fullmatch(one.licence))
    found = {
        "@id": address(one.slug),
        "@type": ["CreativeWork", "dct:BibliographicResource"],
        "name": one.title,
        "dct:title": one.title,
        "publisher": {"@type": "Organization", "name": one.publisher},
        "datePublished": one.published_on,
        "sameAs": one.url,
        "citation": one.citation,
        "license": licence_link(one.licence or "") if is_known else None,
        "usageInfo": None if is_known else one.licence,
    }
    return {name: value for name, value in found.items() if value is not None}


def address(slug: str) -> str:
    """Give the address of a source, relative to the document."""
    return f"v1/sources/{slug}"
