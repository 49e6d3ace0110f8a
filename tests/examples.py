"""For each table a row that every rule lets in, and for each rule a change of that row that it refuses."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

Row = Mapping[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)

VERSION = {"source": "paper", "release": 1, "superseded_by": None}
PERIOD = {"period": "2024", "period_start": date(2024, 1, 1), "period_end": date(2024, 12, 31), "year": 2024}
STATED = {"method": "stated", "inferred": (), "note": None}
FRAGMENT = {"start": 10, "end": 14, "exact": "2024"}

EXAMPLES: dict[str, Row] = {
    "releases": {
        "id": 9,
        "published_at": NOW,
        "kind": "seed",
        "source": "paper",
        "file_name": None,
        "sha256": None,
        "rows_added": 1,
        "rows_changed": 0,
        "rows_removed": 0,
        "rows_rejected": 0,
        "options": None,
        "withdraws": None,
        "changes": None,
    },
    "sources": VERSION
    | {
        "slug": "paper",
        "kind": "article",
        "title": "A paper",
        "publisher": "A publisher",
        "url": None,
        "published_on": date(2025, 6, 1),
        "language": "en",
        "licence": None,
        "sha256": "0" * 64,
        "length": 100,
        "note": None,
    },
    "figures": VERSION
    | FRAGMENT
    | {
        "id": "a-year",
        "as_stated": "2024",
        "value": 2024.0,
        "unit": "year",
        "qualifier": "exact",
        "lower": 2024.0,
        "upper": 2024.0,
        "stated_by": None,
        "section": None,
    },
    "evidence": VERSION | FRAGMENT | {"record": "events", "record_key": "summit", "field": "year", "figure": "a-year"},
    "countries": VERSION
    | {
        "iso3": "KAZ",
        "kind": "economy",
        "iso2": "KZ",
        "m49": "398",
        "comtrade_code": 398,
        "comtrade_also": (),
        "name": "Kazakhstan",
        "official_name": None,
        "region": "Asia",
        "subregion": "Central Asia",
        "aliases": (),
    },
    "country_groups": VERSION
    | {"slug": "pair", "name": "Pair", "members": ("CHN", "KAZ"), "basis": "A treaty", "aliases": ()},
    "trade_flows": VERSION
    | PERIOD
    | STATED
    | {
        "reporter": "KAZ",
        "partner": "CHN",
        "flow": "export",
        "product": "TOTAL",
        "classification": "-",
        "frequency": "A",
        "stated_by": "-",
        "breakdown": "-",
        "value_usd": 14_890_000_000,
        "net_weight_kg": 1.5,
        "net_weight_estimated": None,
        "valuation": "unspecified",
        "obs_status": "A",
    },
    "products": VERSION
    | {
        "code": "2709",
        "level": 4,
        "parent": "27",
        "section": "V",
        "section_name": "Mineral products",
        "description": "Crude petroleum",
    },
    "trade_shares": VERSION
    | PERIOD
    | STATED
    | {
        "slug": "share",
        "reporter": "KAZ",
        "partner": "CHN",
        "flow": "export",
        "within": "WLD",
        "share_percent": 15.5,
        "qualifier": "exact",
        "share_lower": 15.45,
        "share_upper": 15.55,
        "rank": 2,
        "frequency": "A",
        "year_inferred": None,
        "stated_by": None,
    },
    "programmes": VERSION
    | {"slug": "programme", "name": "Programme", "part_of": None, "summary": "It links.", "aliases": ()},
    "projects": VERSION
    | STATED
    | {
        "slug": "port",
        "name": "Port",
        "kind": "dry_port",
        "status": "operational",
        "countries": ("KAZ",),
        "value_usd": 1,
        "jobs": 1,
        "programme": None,
        "summary": "A port.",
        "aliases": (),
    },
    "project_portfolios": VERSION
    | {
        "slug": "portfolio",
        "name": "Portfolio",
        "status": "completed",
        "countries": ("KAZ",),
        "project_count": 62,
        "value_usd": 8_700_000_000,
        "jobs": 1,
        "stated_by": None,
        "note": None,
    },
    "organizations": VERSION
    | {
        "slug": "bureau",
        "name": "Bureau",
        "kind": "statistics_office",
        "country": None,
        "summary": None,
        "aliases": (),
        "inferred": ("kind",),
        "note": "So its name reads.",
    },
    "experts": VERSION
    | {
        "slug": "speaker",
        "name": "Speaker",
        "title": None,
        "organization": None,
        "country": None,
        "role": "expert",
        "inferred": ("role",),
        "note": "So his title reads.",
    },
    "topics": VERSION | {"slug": "topic", "name": "Topic", "summary": None},
    "quotes": VERSION
    | FRAGMENT
    | {
        "id": "quote",
        "expert": "speaker",
        "kind": "direct",
        "text": "2024",
        "topics": ("topic",),
        "section": None,
        "continues": None,
        "speaker_basis": "stated",
    },
    "events": VERSION
    | {
        "slug": "summit",
        "name": "Summit",
        "kind": "summit",
        "date": "2023",
        "year": 2023,
        "year_inferred": None,
        "place": None,
        "countries": ("CHN",),
        "agreements_count": 58,
        "agreements_value_usd": 24_000_000_000,
        "summary": "They met.",
        "note": None,
    },
    "indicators": VERSION
    | {"slug": "cargo", "name": "Cargo", "unit": "tons", "countries": ("KAZ",), "description": "What was carried."},
    "observations": VERSION
    | PERIOD
    | STATED
    | {
        "slug": "cargo-2024",
        "indicator": "cargo",
        "value": 1.0,
        "direction": "increase",
        "as_stated": "1 ton",
        "frequency": "A",
        "stated_by": None,
        "obs_status": "A",
    },
    "risks": VERSION
    | {"slug": "debt", "kind": "risk", "theme": "topic", "summary": "Debts.", "raised_by": None, "quotes": ()},
    "checks": VERSION
    | {
        "slug": "sum",
        "title": "A sum",
        "kind": "sum",
        "figures": ("a", "b"),
        "expected": "c",
        "direction": "increase",
        "note": None,
    },
    "search_entries": VERSION
    | {"id": 9, "record": "topics", "record_key": "topic", "title": "Topic", "body": "", "words": " topic "},
}
"""A row of each table that every rule lets in."""

SPANS = [{"start": -1, "end": 3}]
FRAGMENTS = [{"exact": ""}, {"exact": "20245"}, {"exact": "x" * 201, "end": 211}]
YEARS = [{"year": 1899}, {"year": 2101}]
INFERRED_NAMED = [{"inferred": ("note",), "note": "So it reads."}, {"method": "inferred", "note": "So it reads."}]
INFERRED_NOTED = [{"method": "inferred", "inferred": ("year",)}]
PERIOD_WHOLE = [{"period_end": None}]
PERIOD_ORDER = [{"period_end": date(2023, 12, 31)}]
OPEN = {"share_lower": None, "share_upper": None}
ONE_YEAR = [{"year_inferred": 2024}]

BREAKS: dict[str, list[Row]] = {
    "ck_sources_own_source": [{"source": "another"}],
    "ck_sources_slug_not_blank": [{"slug": "", "source": ""}],
    "ck_sources_sha256": [{"sha256": "0" * 63}, {"sha256": ""}],
    "ck_sources_length": [{"length": 0}],
    "ck_figures_span": SPANS,
    "ck_figures_exact": FRAGMENTS,
    "ck_figures_interval": [{"lower": 2025.0, "upper": 2026.0}, {"lower": 2022.0, "upper": 2023.0}],
    "ck_evidence_span": SPANS,
    "ck_evidence_exact": FRAGMENTS,
    "ck_countries_iso3": [{"iso3": "kaz"}, {"iso3": "KAZA"}, {"iso3": ""}],
    "ck_countries_iso2": [{"iso2": "kz"}, {"iso2": "K"}],
    "ck_countries_m49": [{"m49": "4"}, {"m49": ""}],
    "ck_countries_economy_has_iso2": [{"iso2": None}],
    "ck_country_groups_members": [{"members": ()}],
    "ck_products_level": [{"level": 3}],
    "ck_products_parent": [{"parent": None}, {"level": 0}],
    "ck_trade_flows_iso3": [{"reporter": "KZ"}, {"partner": ""}],
    "ck_trade_flows_inferred_named": INFERRED_NAMED,
    "ck_trade_flows_inferred_noted": INFERRED_NOTED,
    "ck_trade_flows_period_whole": PERIOD_WHOLE,
    "ck_trade_flows_period_order": PERIOD_ORDER,
    "ck_trade_flows_period_dated": [{"period": "-"}, {"period_start": None, "period_end": None}],
    "ck_trade_flows_year": YEARS,
    "ck_trade_shares_inferred_named": INFERRED_NAMED,
    "ck_trade_shares_inferred_noted": INFERRED_NOTED,
    "ck_trade_shares_period_whole": PERIOD_WHOLE,
    "ck_trade_shares_period_order": PERIOD_ORDER,
    "ck_trade_shares_year": YEARS,
    "ck_trade_shares_one_year": ONE_YEAR,
    "ck_trade_shares_share_percent": [OPEN | {"share_percent": -0.1}, OPEN | {"share_percent": 100.1}],
    "ck_trade_shares_share_interval": [
        {"share_lower": 15.6, "share_upper": 16.0},
        {"share_upper": 15.4, "share_lower": 15.0},
    ],
    "ck_trade_shares_rank": [{"rank": 0}],
    "ck_trade_shares_share_or_rank": [{"share_percent": None, "rank": None}],
    "ck_organizations_inferred_noted": [{"note": None}],
    "ck_experts_inferred_noted": [{"note": None}],
    "ck_projects_inferred_named": INFERRED_NAMED,
    "ck_projects_inferred_noted": INFERRED_NOTED,
    "ck_quotes_span": [{"start": -1, "end": 3}, {"end": 15}],
    "ck_quotes_exact": [{"kind": "paraphrase", "text": "Ours", "exact": "x" * 201, "end": 211}],
    "ck_quotes_direct_is_verbatim": [{"text": "2025"}, {"kind": "paraphrase"}],
    "ck_quotes_text_not_blank": [{"kind": "paraphrase", "text": ""}],
    "ck_quotes_kind": [{"kind": "nonsense", "text": "Ours"}],
    "ck_events_year": YEARS,
    "ck_events_one_year": ONE_YEAR,
    "ck_observations_inferred_named": INFERRED_NAMED,
    "ck_observations_inferred_noted": INFERRED_NOTED,
    "ck_observations_period_whole": PERIOD_WHOLE,
    "ck_observations_period_order": PERIOD_ORDER,
    "ck_observations_year": YEARS,
    "ck_observations_value_or_direction": [{"value": None, "direction": None}],
    "ck_checks_figures": [{"figures": ()}],
}
"""Changes of the example, each of which breaks the named rule and no other."""
