"""The service held to its own description: every operation, requests that fit it and requests that do not.

Each operation gets every case that its description makes by itself (bounds, missing, repeated and unknown parameters,
other types, other methods), and beyond these as many invented ones as are asked for. In the short form PostgreSQL gets
invented ones alone: what is refused is refused before there is any statement.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from conftest import ENGINES, TORTURE, Workshop, times
from direct import Answer, Direct, content_hash, unchanged
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from sqlalchemy import update
from test_http import DESCRIPTION

from app.db import Database
from app.main import create_app
from app.models import Topic
from app.settings import Settings

NAMES_NOTHING = ["2xx", "3xx", "404", "406", "414", "422"]
"""What answers a request that fits the description: its names may name nothing, its bounds contradict, it be long."""
REFUSED = ["404", "405", "406", "414", "422"]
"""What answers a request that does not fit."""
HELD = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
}
"""Checks that must be among those that are on."""


def described(examples: int, *, is_whole: bool) -> Any:
    """Load the description of an application, with every check on; it has no database yet.

    The whole has every case that the description makes by itself, the rest only the examples and invented ones.
    """
    checks = {
        "positive_data_acceptance": {"expected-statuses": NAMES_NOTHING},
        "negative_data_rejection": {"expected-statuses": REFUSED},
    }
    generation = {"max-examples": examples, "deterministic": not TORTURE, "allow-x00": True}
    phases = {"coverage": {"enabled": is_whole}}
    config = SchemathesisConfig.from_dict({"checks": checks, "generation": generation, "phases": phases})
    made = create_app(Settings(database_url="sqlite:///never-opened.db"))
    return schemathesis.openapi.from_asgi("/openapi.json", made, config=config)


SQLITE = described(times(3, 800), is_whole=True)
POSTGRES = described(times(6, 800), is_whole=TORTURE)
SENT: Counter[str] = Counter()
"""Cases that were sent, by engine."""


@pytest.fixture(scope="module")
def asked(workshop: Workshop) -> Iterator[dict[str, Direct]]:
    """Give the service over each engine; at the end no row and no byte of its database may be another."""
    with unchanged({engine: workshop.seeded(engine) for engine in ENGINES}) as found:
        yield found


@pytest.fixture
def counted(record_property: Any) -> Iterator[None]:
    """Tell how many cases a test sent."""
    before = SENT.copy()
    yield
    for engine, sent in (SENT - before).items():
        record_property("count", (f"cases on {engine}", sent))


def hold(case: schemathesis.Case, service: Direct) -> Answer:
    """Send a request to the service and hold the answer to the description."""
    case.freeze_metadata()
    given = case.as_transport_kwargs(base_url="http://testserver")
    request = requests.Request(**given).prepare()
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    request.headers.pop("Accept-Encoding", None)  # the answer is read as it is
    headers = [("Host", "testserver"), *request.headers.items()]
    answer = service.ask(request.path_url, request.method, headers, body)
    told: dict[str, list[str]] = {}
    for name, value in answer.headers:
        told.setdefault(name, []).append(value)
    case.validate_response(Response(answer.status, told, answer.body, request, elapsed=0.0, verify=False))
    return answer


@pytest.mark.torture
@pytest.mark.usefixtures("counted")
@SQLITE.parametrize()
def test_service_holds_to_its_description_on_sqlite(case: schemathesis.Case, asked: dict[str, Direct]) -> None:
    SENT["sqlite"] += 1
    hold(case, asked["sqlite"])


@pytest.mark.torture
@pytest.mark.usefixtures("counted")
@POSTGRES.parametrize()
def test_service_holds_to_its_description_on_postgres(case: schemathesis.Case, asked: dict[str, Direct]) -> None:
    SENT["postgres"] += 1
    hold(case, asked["postgres"])


def narrowed() -> list[Any]:
    """Give an example request of each operation that takes `fields`, as a case."""
    found = []
    for path, methods in DESCRIPTION["paths"].items():
        parameters = methods["get"].get("parameters", ())
        if any(parameter["name"] == "fields" for parameter in parameters):
            given = {
                place: {one["name"]: one["example"] for one in parameters if one["in"] == place and one["required"]}
                for place in ("path", "query")
            }
            case = SQLITE[path]["GET"].Case(path_parameters=given["path"], query=given["query"])
            found.append(pytest.param(case, id=path))
    return found


@pytest.mark.parametrize("case", narrowed())
def test_answer_of_some_fields_holds_to_the_description_too(case: schemathesis.Case, asked: dict[str, Direct]) -> None:
    whole = hold(case, asked["sqlite"]).json()["data"]
    row = whole[0] if isinstance(whole, list) else whole
    for field in row:
        case.query["fields"] = field
        some = hold(case, asked["sqlite"]).json()["data"]
        assert list(some[0] if isinstance(some, list) else some) == [field]


def test_every_check_that_is_named_is_on() -> None:
    load_all_checks()
    assert set(CHECKS.get_all_names()) >= HELD
    assert all(SQLITE.config.checks_config_for(operation=None).get_by_name(name=name).enabled for name in HELD)


def test_a_hash_tells_any_row_that_is_changed(private_seeded: Database) -> None:
    before = content_hash(private_seeded)
    assert content_hash(private_seeded) == before
    with private_seeded.writer.begin() as connection:
        connection.execute(update(Topic).where(Topic.slug == "technology").values(name="Technologies"))
    assert content_hash(private_seeded) != before
