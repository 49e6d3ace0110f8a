"""Compression: text in each coding, what is packed in none; tags, Vary, HEAD and ranges stay right."""

import gzip
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from test_http import FLOWS, service

from app.compress import CODINGS, Compress, codings
from app.db import Database
from app.formats import TABLE_FORMATS
from app.guard import Guard
from app.metrics import Metrics
from app.settings import Settings

DECODE = {
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}
TEXTS = (
    "application/json",
    "application/problem+json",
    "text/csv; charset=utf-8; header=present",
    "application/x-ndjson",
    "application/ld+json",
    "application/vnd.sdmx.data+json;version=2.0.0",
    "application/vnd.sdmx.data+csv;version=2.0.0",
    "application/vnd.sdmx.data+xml;version=3.0.0",
    "application/vnd.sdmx.structure+json;version=2.0.0",
    "application/vnd.sdmx.structure+xml;version=3.0.0",
    "application/vnd.sdmx.structurespecificdata+xml;version=2.1",
    "application/vnd.sdmx.genericdata+xml;version=2.1",
    "application/xml",
    "text/html; charset=utf-8",
    "text/plain",
    "text/css",
    "text/javascript",
    "application/javascript",
    "image/svg+xml",
)
PACKED = (
    "application/vnd.apache.parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/zip",
    "application/gzip",
    "image/png",
    "application/octet-stream",
)
BODY = b'{"reporter": "KAZ", "partner": "CHN", "value_usd": 43820000000}\n' * 40
TAG = '"tag"'


@pytest.fixture(scope="module")
def any_type(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Give a client of an application that answers any media type, whole, as a stream or from a file."""
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(BODY)

    def whole(request: Request) -> Response:
        status = int(request.query_params.get("status", 200))
        body = BODY[: int(request.query_params.get("size", len(BODY)))]
        headers = {"ETag": TAG, "Vary": "Accept", "Content-Type": request.query_params["type"]}
        return Response(body, status, headers)

    def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            if not request.scope.get("khorgos.head"):
                for start in range(0, len(BODY), 100):
                    yield BODY[start : start + 100]

        return StreamingResponse(parts(), headers={"ETag": TAG, "Content-Type": request.query_params["type"]})

    def file(request: Request) -> Response:
        return FileResponse(path, headers={"Content-Type": request.query_params["type"], "ETag": TAG})

    made: Any = Starlette(routes=[Route("/whole", whole), Route("/stream", stream), Route("/file", file)])
    with TestClient(Guard(Compress(made), Settings(), Metrics())) as client:
        yield client


def get(client: TestClient, url: str, coding: str | None, verb: str = "GET", **headers: str) -> tuple[Any, bytes]:
    """Give an answer and its bytes as they were sent."""
    sent = {"Accept-Encoding": coding or "identity", **headers}
    with client.stream(verb, url, headers=sent) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("kind", ["whole", "stream", "file"])
@pytest.mark.parametrize("media", TEXTS)
def test_text_is_compressed_and_is_the_same_text(any_type: TestClient, media: str, kind: str, coding: str) -> None:
    answer, sent = get(any_type, f"/{kind}?type={media.replace('+', '%2B').replace(';', '%3B')}", coding)
    assert answer.headers["content-encoding"] == coding
    assert DECODE[coding](sent) == BODY
    assert len(sent) < len(BODY) / 4
    assert answer.headers["etag"] == f'"tag-{coding}"'
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("kind", ["whole", "stream", "file"])
@pytest.mark.parametrize("media", PACKED)
def test_what_is_packed_already_is_sent_as_it_is(any_type: TestClient, media: str, kind: str) -> None:
    answer, sent = get(any_type, f"/{kind}?type={media}", "zstd, br, gzip")
    assert ("content-encoding" in answer.headers, sent, answer.headers["etag"]) == (False, BODY, TAG)


@pytest.mark.parametrize("name", [name for name in TABLE_FORMATS if name not in ("parquet", "xlsx")])
def test_every_text_format_is_compressed(any_type: TestClient, name: str) -> None:
    media = TABLE_FORMATS[name].media_type
    answer, _ = get(any_type, f"/whole?type={media.replace('+', '%2B').replace(';', '%3B')}", "gzip")
    assert answer.headers["content-encoding"] == "gzip"


def test_vary_keeps_what_it_had(any_type: TestClient) -> None:
    for coding in (*CODINGS, None):
        answer, _ = get(any_type, "/whole?type=application/json", coding)
        assert answer.headers["vary"] == "Accept, Accept-Encoding"


def test_a_short_answer_is_not_worth_it(any_type: TestClient) -> None:
    answer, sent = get(any_type, "/whole?type=application/json&size=100", "gzip")
    assert (sent, answer.headers["etag"], "content-encoding" in answer.headers) == (BODY[:100], TAG, False)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("zstd, br, gzip", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=0.1, br;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("*;q=0", None),
        ("", None),
    ],
)
def test_the_coding_is_one_that_the_client_takes(any_type: TestClient, accepted: str, coding: str | None) -> None:
    answer, _ = get(any_type, "/whole?type=application/json", accepted or " ")
    assert answer.headers.get("content-encoding") == coding
    taken = codings(accepted.encode())
    assert (coding is None) == (taken == frozenset()) and (coding is None or coding in taken)


@pytest.mark.parametrize("coding", [*CODINGS, None])
@pytest.mark.parametrize("kind", ["whole", "stream", "file"])
@pytest.mark.parametrize("media", ["application/json", "application/zip"])
def test_head_has_the_headers_of_get(any_type: TestClient, media: str, kind: str, coding: str | None) -> None:
    answer, _ = get(any_type, f"/{kind}?type={media}", coding)
    headed, sent = get(any_type, f"/{kind}?type={media}", coding, "HEAD")
    assert (headed.status_code, headed.headers, sent) == (200, answer.headers, b"")


@pytest.mark.parametrize("coding", [*CODINGS, None])
def test_a_range_is_of_the_bytes_that_are_not_compressed(any_type: TestClient, coding: str | None) -> None:
    answer, sent = get(any_type, "/file?type=application/json", coding, Range="bytes=10-19")
    assert (answer.status_code, sent, answer.headers["etag"]) == (206, BODY[10:20], TAG)
    assert "content-encoding" not in answer.headers


def test_a_range_of_another_coding_is_answered_whole(any_type: TestClient) -> None:
    whole, _ = get(any_type, "/file?type=application/json", "gzip")
    more = {"Range": "bytes=10-19", "If-Range": whole.headers["etag"]}
    answer, sent = get(any_type, "/file?type=application/json", "gzip", **more)
    assert (answer.status_code, DECODE["gzip"](sent)) == (200, BODY)
    answer, sent = get(any_type, "/file?type=application/json", "gzip", **{**more, "If-Range": TAG})
    assert (answer.status_code, sent) == (206, BODY[10:20])


# The service


@pytest.fixture(scope="module", params=[0, 2**26], ids=["fresh", "kept"])
def serving(request: pytest.FixtureRequest, seeded: Database) -> Iterator[TestClient]:
    """Give a client of the service, that keeps answers or does not."""
    with service(seeded, cache_bytes=request.param) as client:
        yield client


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "url",
    [
        FLOWS,
        f"{FLOWS}?format=csv",
        f"{FLOWS}?format=csv&limit=10",
        f"{FLOWS}?format=ndjson",
        "/v1/countries/KAZ",
        f"{FLOWS}?yeer=2024&{'&'.join(f'year_{number}=1' for number in range(20))}",
        "/openapi.json",
        "/docs",
        "/static/swagger-ui.css",
        "/static/swagger-ui-bundle.js",
        "/static/favicon.svg",
        "/metrics",
    ],
)
def test_every_text_of_the_service_is_compressed(serving: TestClient, url: str, coding: str) -> None:
    plain, whole = get(serving, url, None)
    for _ in range(2):
        answer, sent = get(serving, url, coding)
        assert answer.status_code == plain.status_code
        if len(whole) >= 500:
            assert answer.headers["content-encoding"] == coding
        if "content-encoding" in answer.headers and url != "/metrics":
            assert DECODE[coding](sent) == whole
            assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers["content-type"] == plain.headers["content-type"]


def test_each_coding_has_a_tag_of_its_own(serving: TestClient) -> None:
    tags = {get(serving, FLOWS, coding)[0].headers["etag"] for coding in (*CODINGS, None)}
    assert len(tags) == 4
    assert not any(tag.startswith("W/") for tag in tags)


@pytest.mark.parametrize("coding", [*CODINGS, None])
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
@pytest.mark.parametrize("url", [FLOWS, f"{FLOWS}?format=csv", "/v1/topics/technology", "/static/swagger-ui.css"])
def test_the_tag_that_was_given_is_304(serving: TestClient, url: str, verb: str, coding: str | None) -> None:
    tag = get(serving, url, coding)[0].headers["etag"]
    for form in ("{}", "W/{}", '"other", {}'):
        answer, sent = get(serving, url, coding, verb, **{"If-None-Match": form.format(tag)})
        assert (answer.status_code, sent, answer.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize(
    ("held", "accepted", "status"),
    [
        ("gzip", "zstd, gzip", 304),  # what the client holds, it can read
        ("identity", "zstd, gzip", 304),
        ("zstd", "gzip", 200),  # held by a cache for others: this client could not read it
        ("zstd", "identity", 200),
        ("gzip", "gzip;q=0, br", 200),
        ("gzip", "*", 304),
    ],
)
def test_a_tag_of_another_coding_is_304_where_it_is_taken(
    serving: TestClient, held: str, accepted: str, status: int
) -> None:
    tag = get(serving, FLOWS, held)[0].headers["etag"]
    for _ in range(2):
        answer, _ = get(serving, FLOWS, accepted, **{"If-None-Match": tag})
        assert answer.status_code == status
        assert (answer.headers["etag"] == tag) == (status == 304)


def test_who_says_nothing_of_codings_is_sent_none_and_may_hold_any(serving: TestClient) -> None:
    tag = get(serving, FLOWS, "br")[0].headers["etag"]
    del serving.headers["accept-encoding"]
    for _ in range(2):
        assert "content-encoding" not in serving.get(FLOWS).headers
        assert serving.get(FLOWS, headers={"If-None-Match": tag}).status_code == 304


def test_a_range_of_a_static_file_is_right(serving: TestClient) -> None:
    whole = Path("app/static/swagger-ui.css")
    expected = (Path(__file__).parent.parent / whole).read_bytes()[100:200]
    answer, sent = get(serving, "/static/swagger-ui.css", "zstd, gzip", Range="bytes=100-199")
    assert (answer.status_code, sent) == (206, expected)
