"""The contract, as a user asks it: every answer that the service was built for, the same on both engines."""

import re
from html import escape, unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.errors import leaves
from app.web.docs import TASKS, Task

ARTICLE = "astana-times-2025-06"
BUREAU = "KAZ.CHN.total.TOTAL.-.A.2024.astana-times-2025-06.kaz-bns"
SERIES = "CHN.KAZ.total.TOTAL.-.A.2024.astana-times-2025-06.-"
VERDICTS = {
    "kaz-chn-2024-exports-plus-imports": ("holds_within_rounding", 30_040_000_000, 30_050_000_000),
    "kaz-chn-2024-jan-apr-exports-plus-imports": ("holds", 8_930_000_000, 8_930_000_000),
    "kaz-chn-2025-jan-apr-exports-plus-imports": ("holds", 8_570_000_000, 8_570_000_000),
    "chn-five-countries-2024": ("holds_within_rounding", 94_820_000_000, 95_000_000_000),
    "kaz-share-of-chn-xca-2024": ("holds_within_rounding", 46.1263, 50),
    "kaz-chn-2024-two-totals": ("conflicts", 30_050_000_000, 43_820_000_000),
    "kuantyrov-and-series": ("holds_within_rounding", 43_800_000_000, 43_820_000_000),
    "first-quarter-or-four-months": ("conflicts", 3, 4),
    "kaz-chn-jan-apr-total-change": ("holds", -4.0314, None),
    "kaz-chn-jan-apr-imports-change": ("holds", 13.5135, None),
    "kaz-chn-jan-apr-exports-change": ("holds", -21.3808, None),
    "projects-by-status-in-portfolio": ("holds", 117, 224),
    "project-values-in-portfolio": ("holds", 22_200_000_000, 66_500_000_000),
}
RECEIPT = {
    "data": {
        "id": "at-2024-kaz-chn-total",
        "as_stated": "$30.05 billion",
        "value": 30_050_000_000,
        "unit": "USD",
        "qualifier": "exact",
        "lower": 30_045_000_000,
        "upper": 30_055_000_000,
        "source": ARTICLE,
        "stated_by": "kaz-bns",
        "stated_by_name": "Bureau of National Statistics of Kazakhstan",
        "section": "Trade dynamics",
        "start": 3703,
        "end": 3742,
        "exact": "trade with China reached $30.05 billion",
        "supports": [{"record": "trade_flows", "key": BUREAU, "field": "value_usd"}],
        "source_title": "China-Central Asia Relations Enter New Phase Amid Xi’s Visit",
        "publisher": "The Astana Times",
        "url": None,
        "sha256": "0261a0091010d463c5420b30c63099452c5d0251875b944855e59c05afe95179",
        "citation": {
            "text": (
                "The Astana Times (n.d.). China-Central Asia Relations Enter New Phase Amid Xi’s Visit. "
                "“$30.05 billion”, stated by Bureau of National Statistics of Kazakhstan, characters 3703 to 3742 "
                "(Khorgos figure at-2024-kaz-chn-total)."
            ),
            "bibtex": (
                "@misc{at-2024-kaz-chn-total,\n"
                "  title = {China-Central Asia Relations Enter New Phase Amid Xi’s Visit},\n"
                "  author = {{The Astana Times}},\n"
                "  note = {Figure at-2024-kaz-chn-total: \\$30.05 billion, characters 3703 to 3742},\n}"
            ),
        },
    },
    "meta": {"release": 3, "warnings": []},
    "links": {"self": "/v1/figures/at-2024-kaz-chn-total"},
}
WANTED_PATHS = {
    *("/v1/countries", "/v1/countries/{code}", "/v1/trade/flows", "/v1/trade/flows/{id}", "/v1/trade/totals"),
    *("/v1/trade/compare", "/v1/trade/shares", "/v1/trade/coverage", "/v1/projects", "/v1/projects/{slug}"),
    *("/v1/projects/portfolios", "/v1/projects/summary", "/v1/experts", "/v1/experts/{slug}", "/v1/quotes"),
    *("/v1/quotes/{id}", "/v1/events", "/v1/organizations", "/v1/topics", "/v1/risks", "/v1/indicators"),
    *("/v1/indicators/{slug}", "/v1/figures", "/v1/figures/{id}", "/v1/sources", "/v1/sources/{slug}"),
    *("/v1/checks", "/v1/search", "/v1/releases", "/v1/releases/{id}", "/v1/products", "/v1/products/{code}"),
    *("/v1/exports", "/v1/exports/{table}.csv", "/v1/exports/{table}.parquet", "/v1/datapackage.json"),
    "/v1/datapackage.zip",
}


def body(client: TestClient, path: str) -> Any:
    """Give the body of an answer that is one."""
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def rows(client: TestClient, path: str) -> list[dict[str, Any]]:
    """Give the rows of a list."""
    return body(client, path)["data"]


def ids(client: TestClient, query: str) -> list[str]:
    """Give the ids of trade flows."""
    return [row["id"] for row in rows(client, f"/v1/trade/flows?fields=id&{query}")]


def refused(client: TestClient, path: str, status: int = 422) -> dict[str, Any]:
    """Give the problem that answers a request."""
    response = client.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


# What issue 2 names as done


def test_flows_give_the_bureau_and_the_series_apart_with_their_words(client: TestClient) -> None:
    found = {row["id"]: row for row in rows(client, "/v1/trade/flows?country=kazakhstan&year=2024&flow=total")}
    proofs = {key: {one["field"]: one for one in found[key]["evidence"]} for key in (BUREAU, SERIES)}
    assert (found[BUREAU]["value_usd"], found[BUREAU]["stated_by"]) == (30_050_000_000, "kaz-bns")
    assert (found[SERIES]["value_usd"], found[SERIES]["stated_by"]) == (43_820_000_000, None)
    assert proofs[BUREAU]["value_usd"] == {
        "field": "value_usd",
        "figure": "at-2024-kaz-chn-total",
        "exact": "trade with China reached $30.05 billion",
        "start": 3703,
        "end": 3742,
    }
    assert "$43.82 billion" in proofs[SERIES]["value_usd"]["exact"]


def test_year_and_its_first_months_both_answer_for_the_year(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?country=kazakhstan&year=2024&fields=frequency,year")
    assert {(row["frequency"], row["year"]) for row in found} == {("A", 2024), ("YTD", 2024), ("Q", 2024)}


def test_compare_gives_the_gap_between_the_two_sides(client: TestClient) -> None:
    found = rows(client, "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024")
    total = next(row for row in found if row["flow"] == "total" and row["period"] == "2024")
    assert total["gap"]["usd"] == 13_770_000_000
    assert total["gap"]["lineage"] == [SERIES, BUREAU]
    assert total["gap"]["valuation_could_explain"] is False
    assert [(one["side"], one["value_usd"]) for one in total["statements"]] == [
        ("mirror", 43_820_000_000),
        ("reporter", 30_050_000_000),
    ]


def test_compare_is_the_same_gap_from_either_side(client: TestClient) -> None:
    both = [
        next(row["gap"]["usd"] for row in rows(client, f"/v1/trade/compare?{sides}&year=2024") if row["gap"])
        for sides in ("reporter=KAZ&partner=CHN", "reporter=CHN&partner=KAZ")
    ]
    assert both == [13_770_000_000, 13_770_000_000]


def test_compare_gives_a_statement_without_a_period_no_gap(client: TestClient) -> None:
    answer = body(client, "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024")
    undated = [row for row in answer["data"] if row["period"] is None]
    assert [(row["gap"], row["statements"][0]["stated_by"]) for row in undated] == [(None, "alibek-kuantyrov")]
    assert answer["meta"]["warnings"]


def test_totals_by_year_are_not_one_sum_of_everything(client: TestClient) -> None:
    found = rows(client, "/v1/trade/totals?partner=CHN&group_by=year&year=2024")
    got = {(row["flow"], row["period"], row["stated_by"]): row["value_usd"] for row in found}
    assert got == {
        ("total", "2024", "kaz-bns"): 30_050_000_000,
        ("export", "2024", None): 14_890_000_000,
        ("import", "2024", None): 15_150_000_000,
        ("export", "2024-Q1", None): 4_490_000_000,
        ("export", "2024-01/2024-04", None): 4_490_000_000,
        ("import", "2024-01/2024-04", None): 4_440_000_000,
        ("total", "2024-01/2024-04", None): 8_930_000_000,
    }


def test_totals_of_both_sides_stand_apart_by_who_states_them(client: TestClient) -> None:
    found = rows(client, "/v1/trade/totals?group_by=year&flow=total&period=2024&country=KAZ")
    got = {row["stated_by"]: (row["value_usd"], row["rows"]) for row in found}
    assert (len(found), got) == (2, {"kaz-bns": (30_050_000_000, 1), None: (43_820_000_000, 1)})


def test_central_asia_as_one_is_not_added_to_its_members(client: TestClient) -> None:
    found = rows(client, "/v1/trade/totals?reporter=CHN&group_by=reporter&year=2024")
    got = {row["partner"]: (row["value_usd"], row["rows"]) for row in found}
    assert (len(found), got) == (2, {"XCA": (95_000_000_000, 1), None: (94_820_000_000, 5)})


def test_no_named_project_is_said_to_be_completed_and_why_is_told(client: TestClient) -> None:
    answer = body(client, "/v1/projects?status=completed")
    assert answer["data"] == []
    assert answer["meta"]["why_empty"] == {
        "parameter": "status",
        "value": ["completed"],
        "nearest": ["not_stated", "operational"],
    }


def test_projects_in_use_are_named(client: TestClient) -> None:
    found = [row["slug"] for row in rows(client, "/v1/projects?status=operational")]
    assert found == ["altynkol-railway-crossing", "khorgos-dry-port", "western-europe-western-china-highway"]


def test_completed_portfolio_is_62_projects_worth_8_7_billion(client: TestClient) -> None:
    found = rows(client, "/v1/projects/portfolios?status=completed")
    assert [(row["project_count"], row["value_usd"], row["stated_by"]) for row in found] == [(62, 8_700_000_000, None)]


def test_summary_gives_each_status_what_portfolios_state_and_which_projects_are_named(client: TestClient) -> None:
    found = {row["status"]: row for row in rows(client, "/v1/projects/summary?by=status")}
    counts = {status: [one["project_count"] for one in row["portfolios"]] for status, row in found.items()}
    named = {status: row["projects_named"] for status, row in found.items()}
    assert counts == {
        **{"completed": [62], "operational": [], "under_development": [55], "planned": [], "not_stated": [224]}
    }
    assert named == {"completed": 0, "operational": 3, "under_development": 0, "planned": 0, "not_stated": 3}


def test_quotes_are_found_by_expert_and_topic(client: TestClient) -> None:
    found = rows(client, "/v1/quotes?expert=gulnar-shaimergenova&topic=technology")
    assert {row["id"] for row in found} == {"q-shaimergenova-equipment", "q-shaimergenova-technology"}
    assert {row["expert"] for row in found} == {"gulnar-shaimergenova"}


def test_quotes_are_found_by_their_words(client: TestClient) -> None:
    found = rows(client, "/v1/quotes?q=dependence")
    assert found
    assert all("dependence" in f"{row['text']} {row['exact']}".lower() for row in found)


def test_a_misspelt_parameter_is_refused_with_the_one_meant(client: TestClient) -> None:
    problem = refused(client, "/v1/trade/flows?yeer=2024")
    assert (problem["code"], problem["errors"][0]["did_you_mean"]) == ("KHG104", "year")
    assert "year" in problem["errors"][0]["allowed"]


def test_a_misspelt_country_is_refused_with_the_one_meant(client: TestClient) -> None:
    problem = refused(client, "/v1/trade/flows?reporter=Kazakstan")
    assert (problem["code"], problem["errors"][0]["did_you_mean"]) == ("KHG102", "Kazakhstan")


def test_a_year_without_rows_is_told_why_it_is_empty(client: TestClient) -> None:
    answer = body(client, "/v1/trade/flows?year=1999")
    assert answer["data"] == []
    assert answer["meta"]["why_empty"] == {"parameter": "year", "value": ["1999"], "nearest": [2024, 2025]}


def test_why_empty_names_the_first_filter_that_leaves_nothing(client: TestClient) -> None:
    meta = body(client, "/v1/trade/flows?reporter=KAZ&partner=TJK&year=2024")["meta"]
    assert meta["why_empty"] == {"parameter": "partner", "value": ["TJK"], "nearest": ["CHN"]}


@pytest.mark.parametrize("filters", ["classification=H6", "stated_by=zhadyra-assetkyzy", "period=2011"])
def test_why_empty_suggests_only_what_can_be_asked(client: TestClient, filters: str) -> None:
    why = body(client, f"/v1/trade/flows?{filters}")["meta"]["why_empty"]
    answers = [client.get(f"/v1/trade/flows?{why['parameter']}={value}").status_code for value in why["nearest"]]
    assert answers == [200] * len(why["nearest"])


@pytest.mark.parametrize("slug", VERDICTS)
def test_check_finds_what_the_article_says(client: TestClient, slug: str) -> None:
    check = {row["slug"]: row for row in rows(client, "/v1/checks")}[slug]
    assert (check["verdict"], check["actual"], check["expected"]) == VERDICTS[slug]


def test_every_check_is_in_the_table_above(client: TestClient) -> None:
    assert {row["slug"] for row in rows(client, "/v1/checks")} == set(VERDICTS)


def test_every_figure_of_a_check_has_a_receipt(client: TestClient) -> None:
    used = {one["id"] for row in rows(client, "/v1/checks") for one in row["figures"]}
    known = {row["id"] for row in rows(client, "/v1/figures?limit=1000")}
    assert used <= known


def test_checks_are_narrowed_by_verdict(client: TestClient) -> None:
    found = [row["slug"] for row in rows(client, "/v1/checks?verdict=conflicts")]
    assert found == ["first-quarter-or-four-months", "kaz-chn-2024-two-totals"]


def test_bodies_are_the_same_bytes_on_both_engines(clients: dict[str, TestClient]) -> None:
    for path in (
        "/v1/trade/flows?country=kazakhstan&year=2024",
        "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024",
        "/v1/trade/totals?partner=CHN&group_by=year",
        "/v1/projects?status=completed",
        "/v1/projects/portfolios?status=completed",
        "/v1/projects/summary?by=status",
        "/v1/quotes?expert=gulnar-shaimergenova&topic=technology",
        "/v1/quotes?q=dependence",
        "/v1/trade/flows?yeer=2024",
        "/v1/trade/flows?reporter=Kazakstan",
        "/v1/trade/flows?year=1999",
        "/v1/checks",
    ):
        assert clients["sqlite"].get(path).content == clients["postgres"].get(path).content, path


# Shapes


def test_figure_receipt_is_whole(client: TestClient) -> None:
    assert body(client, "/v1/figures/at-2024-kaz-chn-total") == RECEIPT


def test_list_has_the_envelope(client: TestClient) -> None:
    answer = body(client, "/v1/topics?limit=1&fields=slug")
    following = answer["links"].pop("next")
    assert following.startswith("/v1/topics?")
    assert answer == {
        "data": [{"slug": "belt-and-road"}],
        "meta": {"total": len(rows(client, "/v1/topics")), "limit": 1, "release": 3, "warnings": []},
        "links": {"self": "/v1/topics?fields=slug&limit=1"},
    }


def test_next_page_is_in_the_link_header_too(client: TestClient) -> None:
    response = client.get("/v1/topics?limit=1")
    assert response.headers["link"] == f'<{response.json()["links"]["next"]}>; rel="next"'


def test_last_page_has_no_next(client: TestClient) -> None:
    response = client.get("/v1/topics?limit=1000")
    assert response.json()["links"]["next"] is None
    assert "link" not in response.headers


def test_single_record_has_the_envelope(client: TestClient) -> None:
    assert body(client, "/v1/topics/technology?fields=slug,name") == {
        "data": {"slug": "technology", "name": "Technology"},
        "meta": {"release": 3, "warnings": []},
        "links": {"self": "/v1/topics/technology?fields=slug,name"},
    }


def test_country_in_a_record_is_flat(client: TestClient) -> None:
    flow = body(client, f"/v1/trade/flows/{BUREAU}")["data"]
    assert (flow["reporter"], flow["reporter_name"]) == ("KAZ", "Kazakhstan")


def test_every_listed_flow_is_a_record_of_its_own(client: TestClient) -> None:
    for row in rows(client, "/v1/trade/flows"):
        assert body(client, f"/v1/trade/flows/{row['id']}")["data"] == row


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/figures/at-2024-kaz-chn-totl", "at-2024-kaz-chn-total"),
        ("/v1/countries/Kazakstan", "Kazakhstan"),
        ("/v1/projects/khorgos-dryport", "khorgos-dry-port"),
        ("/v1/quotes/q-shaimergenova-equipmnt", "q-shaimergenova-equipment"),
        ("/v1/problems/invalid-valu", "invalid-value"),
        ("/v1/products/101", "0101"),
    ],
)
def test_a_record_there_is_not_is_404_with_the_one_meant(client: TestClient, path: str, meant: str) -> None:
    problem = refused(client, path, 404)
    assert (problem["code"], problem["errors"][0]["did_you_mean"]) == ("KHG111", meant)


def test_a_path_there_is_not_is_a_404_problem(client: TestClient) -> None:
    assert refused(client, "/v1/nothing/here", 404)["code"] == "KHG110"


# Parameters


@pytest.mark.parametrize(
    "word", ["KZ", "kz", "KAZ", "kaz", "398", "Kazakhstan", "KAZAKHSTAN", "republic of kazakhstan"]
)
def test_country_answers_to_every_name_in_any_case(client: TestClient, word: str) -> None:
    assert body(client, f"/v1/countries/{word}")["data"]["iso3"] == "KAZ"
    assert ids(client, f"reporter={word}") == ids(client, "reporter=KAZ")


@pytest.mark.parametrize(
    ("word", "iso3"), [("Turkey", "TUR"), ("Russia", "RUS"), ("Kyrgyz Republic", "KGZ"), ("Macau", "MAC"), ("4", "AFG")]
)
def test_common_names_that_standards_lack_are_known(client: TestClient, word: str, iso3: str) -> None:
    assert body(client, f"/v1/countries/{word}")["data"]["iso3"] == iso3


def test_country_says_which_groups_it_is_in(client: TestClient) -> None:
    assert body(client, "/v1/countries/kaz")["data"]["groups"] == ["central-asia", "cis", "eaeu", "sco"]


def test_group_stands_for_its_members(client: TestClient) -> None:
    found = [row["iso3"] for row in rows(client, "/v1/countries?group=central-asia")]
    assert found == ["KAZ", "KGZ", "TJK", "TKM", "UZB"]


def test_partner_central_asia_is_the_members_without_the_aggregate(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?reporter=CHN&partner=central-asia")
    assert {row["partner"] for row in found} == {"KAZ", "KGZ", "TJK", "TKM", "UZB"}


def test_partner_xca_is_the_aggregate_alone(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?partner=XCA")
    assert [(row["partner"], row["value_usd"]) for row in found] == [("XCA", 95_000_000_000)]


def test_list_with_commas_equals_repeats(client: TestClient) -> None:
    found = ids(client, "partner=KGZ,UZB")
    assert len(found) == 2
    assert found == ids(client, "partner=KGZ&partner=UZB")


@pytest.mark.parametrize(("code", "flow"), [("X", "export"), ("M", "import"), ("T", "total"), ("EXPORT", "export")])
def test_flow_takes_the_codes_of_comtrade(client: TestClient, code: str, flow: str) -> None:
    assert ids(client, f"flow={code}") == ids(client, f"flow={flow}") != []


def test_flow_there_is_not_is_refused_with_what_there_is(client: TestClient) -> None:
    fault = refused(client, "/v1/trade/flows?flow=exprt")["errors"][0]
    assert fault["did_you_mean"] == "export"
    assert "re_export" in fault["allowed"]


@pytest.mark.parametrize(("asked", "code"), [("2024-01/2024-12", "2024"), ("2024-01/2024-03", "2024-Q1")])
def test_period_has_one_meaning_in_every_spelling(client: TestClient, asked: str, code: str) -> None:
    assert ids(client, f"period={asked}") == ids(client, f"period={code}") != []


def test_latest_gives_the_most_recent_period_of_each_series(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?latest=true&reporter=KAZ&flow=import")
    assert [(row["frequency"], row["period"]) for row in found] == [("A", "2024"), ("YTD", "2025-01/2025-04")]


def test_latest_keeps_the_words_of_each_row(client: TestClient) -> None:
    assert all(row["evidence"] for row in rows(client, "/v1/trade/flows?latest=true"))


def test_fields_are_given_alone_and_in_their_order(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?fields=value_usd,partner_name,reporter&partner=XCA")
    assert [list(row.items()) for row in found] == [
        [("value_usd", 95_000_000_000), ("partner_name", "Central Asia (aggregate)"), ("reporter", "CHN")]
    ]


def test_field_there_is_not_is_refused_with_the_one_meant(client: TestClient) -> None:
    fault = refused(client, "/v1/trade/flows?fields=valu_usd")["errors"][0]
    assert (fault["parameter"], fault["did_you_mean"]) == ("fields", "value_usd")


@pytest.mark.parametrize("sign", ["", "-"])
def test_sort_puts_null_last_either_way(client: TestClient, sign: str) -> None:
    years = [row["year"] for row in rows(client, f"/v1/trade/flows?sort={sign}year")]
    known = [year for year in years if year is not None]
    assert known == sorted(known, reverse=bool(sign))
    assert years == [*known, None]


def test_sort_by_several_fields_goes_by_each_in_turn(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?sort=-flow,value_usd&fields=flow,value_usd")
    pairs = [(row["flow"], row["value_usd"]) for row in found]
    assert pairs == sorted(sorted(pairs, key=lambda pair: pair[1]), key=lambda pair: pair[0], reverse=True)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many", "1.0"])
def test_limit_out_of_bounds_is_refused(client: TestClient, limit: str) -> None:
    assert refused(client, f"/v1/trade/flows?limit={limit}")["errors"][0]["parameter"] == "limit"


@pytest.mark.parametrize("limit", [1, 1000])
def test_limit_within_bounds_is_taken(client: TestClient, limit: int) -> None:
    answer = body(client, f"/v1/countries?limit={limit}")
    assert (answer["meta"]["limit"], len(answer["data"])) == (limit, min(limit, answer["meta"]["total"]))


@pytest.mark.parametrize("filters", ["value_min=0", "value_max=0", "value_min=43820000000", "value_max=3860000000"])
def test_bounds_of_a_value_hold_and_are_inclusive(client: TestClient, filters: str) -> None:
    name, bound = filters.split("=")
    everything = {row["id"]: row["value_usd"] for row in rows(client, "/v1/trade/flows")}
    wanted = [
        key
        for key, value in everything.items()
        if (value >= int(bound) if name == "value_min" else value <= int(bound))
    ]
    assert ids(client, filters) == wanted


def test_share_of_at_most_zero_percent_is_nobodys(client: TestClient) -> None:
    assert rows(client, "/v1/trade/shares?share_max=0") == []


def test_bounds_that_leave_nothing_between_are_refused(client: TestClient) -> None:
    assert refused(client, "/v1/trade/flows?year_from=2025&year_to=2024")["code"] == "KHG115"


def test_voice_of_the_source_itself_can_be_asked(client: TestClient) -> None:
    found = rows(client, "/v1/trade/flows?stated_by=self&limit=1000")
    assert {row["stated_by"] for row in found} == {None}


# Releases


def test_pinned_release_never_changes(client: TestClient) -> None:
    response = client.get("/v1/trade/flows?release=2")
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_unpinned_answer_is_fresh_for_a_minute(client: TestClient) -> None:
    assert client.get("/v1/trade/flows").headers["cache-control"] == "public, max-age=60"


def test_unknown_release_is_refused_with_the_newest(client: TestClient) -> None:
    fault = refused(client, "/v1/trade/flows?release=4")["errors"][0]
    assert (fault["parameter"], fault["did_you_mean"]) == ("release", "3")


def test_past_release_is_answered_as_it_was(client: TestClient) -> None:
    answer = body(client, "/v1/trade/flows?release=1")
    assert (answer["data"], answer["meta"]["release"]) == ([], 1)


def test_releases_are_listed_newest_first(client: TestClient) -> None:
    found = rows(client, "/v1/releases?fields=id,kind,source")
    assert found == [
        {"id": 3, "kind": "seed", "source": "harmonized-system"},
        {"id": 2, "kind": "seed", "source": ARTICLE},
        {"id": 1, "kind": "seed", "source": "reference"},
    ]


# Around the data


def test_index_lists_every_path(client: TestClient) -> None:
    listed = {row["path"] for row in body(client, "/v1")["data"]}
    described = {path for path in body(client, "/openapi.json")["paths"] if path.startswith("/v1/")}
    assert listed == described
    assert listed >= WANTED_PATHS


def test_index_gives_each_path_a_line(client: TestClient) -> None:
    assert all(row["summary"] for row in body(client, "/v1")["data"])


def test_every_error_is_described(client: TestClient) -> None:
    listed = {row["code"]: row for row in body(client, "/v1/problems")["data"]}
    assert set(listed) == {error.code for error in leaves()}
    assert all(row["title"] and row["repair"] for row in listed.values())


@pytest.mark.parametrize("error", leaves(), ids=lambda error: error.code)
def test_type_of_an_error_leads_to_its_description(client: TestClient, error: Any) -> None:
    found = body(client, f"/v1/problems/{error.problem}")
    assert (found["code"], found["type"]) == (error.code, f"/v1/problems/{error.problem}")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.title)
def test_worked_examples_run_as_they_are(client: TestClient, task: Task) -> None:
    for example in task.examples:
        response = client.get(example.path)
        assert response.status_code == 200, example.path
        assert response.text.count("\n") > 1 or response.json()["data"], f"{example.path} is empty"
        assert escape(example.path) in client.get("/docs").text


@pytest.mark.parametrize("page", ["/", "/docs", "/redoc"])
def test_documentation_asks_nothing_of_another_host(client: TestClient, page: str) -> None:
    html = client.get(page).text
    assert re.findall(r"""(?:https?:)?//[^\s"'<]+""", html) == []
    for asset in re.findall(r"""(?:src|href)=["']([^"']+)["']""", html):
        assert client.get(unescape(asset)).status_code == 200, asset


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_documentation_may_load_only_from_here(client: TestClient, page: str) -> None:
    policy = client.get(page).headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy


def test_process_says_that_it_lives(client: TestClient) -> None:
    assert body(client, "/healthz") == {"status": "alive"}


def test_service_says_that_it_is_ready_and_of_which_release(client: TestClient) -> None:
    assert body(client, "/readyz") == {"status": "ready", "release": 3}


def test_metrics_count_requests_by_route(client: TestClient) -> None:
    client.get("/v1/topics/technology")
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert re.search(r'khorgos_requests_total\{route="/v1/topics/\{slug\}",status="200"\} \d', metrics.text)


def test_metrics_count_head_with_its_route(client: TestClient) -> None:
    client.head("/v1/organizations/kaz-bns")
    assert 'route="/v1/organizations/{slug}"' in client.get("/metrics").text


def test_search_finds_records_of_every_kind_with_a_path_to_each(client: TestClient) -> None:
    found = rows(client, "/v1/search?q=kazakhstan&limit=1000")
    assert len({row["record"] for row in found}) > 3
    for path in {row["path"] for row in found}:
        assert client.get(path).status_code == 200, path


def test_source_has_its_figures_and_quotes_in_the_order_of_the_text(client: TestClient) -> None:
    found = body(client, f"/v1/sources/{ARTICLE}")["data"]
    for items in (found["figures"], found["quotes"]):
        assert items
        assert [item["start"] for item in items] == sorted(item["start"] for item in items)
