"""The service held to its own description: every operation, requests that fit it and requests that do not."""

from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from starlette.testclient import TestClient
from test_http import DESCRIPTION

from app.main import create_app
from app.settings import Settings

NAMES_NOTHING = ["2xx", "3xx", "404", "406", "414", "422"]
"""What answers a request that fits the description: its names may name nothing, its bounds contradict, it be long."""
REFUSED = ["404", "405", "406", "414", "422"]
"""What answers a request that does not fit."""


def described(examples: int) -> Any:
    """Load the description of an application, with every check on; it has no database yet."""
    checks = {
        "positive_data_acceptance": {"expected-statuses": NAMES_NOTHING},
        "negative_data_rejection": {"expected-statuses": REFUSED},
    }
    generation = {"max-examples": examples, "deterministic": True}
    config = SchemathesisConfig.from_dict({"checks": checks, "generation": generation})
    made = create_app(Settings(database_url="sqlite:///never-opened.db"))
    return schemathesis.openapi.from_asgi("/openapi.json", made, config=config)


SQLITE, POSTGRES = described(15), described(3)


def take_state(case: schemathesis.Case, client: TestClient) -> None:
    """Let the described application answer from the database of a client."""
    for name in ("service", "exports"):
        setattr(case.operation.app.state, name, getattr(client.app.state, name))


def hold(case: schemathesis.Case, client: TestClient) -> None:
    """Send a request to the service over a seeded database and hold the answer to the description."""
    take_state(case, client)
    case.call_and_validate()


@SQLITE.parametrize()
def test_service_holds_to_its_description_on_sqlite(case: schemathesis.Case, clients: dict[str, TestClient]) -> None:
    hold(case, clients["sqlite"])


@POSTGRES.parametrize()
def test_service_holds_to_its_description_on_postgres(case: schemathesis.Case, clients: dict[str, TestClient]) -> None:
    hold(case, clients["postgres"])


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
def test_answer_of_some_fields_holds_to_the_description_too(
    case: schemathesis.Case, clients: dict[str, TestClient]
) -> None:
    take_state(case, clients["sqlite"])
    whole = case.call_and_validate().json()["data"]
    row = whole[0] if isinstance(whole, list) else whole
    for field in row:
        case.query["fields"] = field
        some = case.call_and_validate().json()["data"]
        assert list(some[0] if isinstance(some, list) else some) == [field]
