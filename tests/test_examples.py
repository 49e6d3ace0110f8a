"""Every example of the OpenAPI description is run, and answers with data."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from test_http import DESCRIPTION, OPERATIONS

Parameter = dict[str, Any]


def examples(path: str, place: str) -> list[Parameter]:
    """Give the parameters of an operation in a place that have an example."""
    parameters = OPERATIONS[path].get("parameters", ())
    return [one for one in parameters if one["in"] == place and "example" in one]


def spelled(value: Any) -> str:
    """Give an example as a URL has it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def filled(path: str) -> str:
    """Give a path with its examples."""
    for parameter in examples(path, "path"):
        path = path.replace(f"{{{parameter['name']}}}", spelled(parameter["example"]))
    return path


def required(path: str) -> dict[str, str]:
    """Give the examples of the query parameters that an operation must have."""
    return {one["name"]: spelled(one["example"]) for one in examples(path, "query") if one["required"]}


OPTIONAL = [(path, one) for path in OPERATIONS for one in examples(path, "query") if not one["required"]]


def assert_answers(client: TestClient, path: str, query: dict[str, str]) -> None:
    """Hold a request to give data."""
    response = client.get(filled(path), params=query or None)
    assert response.status_code == 200, response.text
    assert response.content.strip(), response.url
    if response.headers["content-type"] == "application/json":
        answer = response.json()
        assert answer.get("data", answer) if isinstance(answer, dict) else answer, response.url


@pytest.mark.parametrize("path", OPERATIONS)
def test_example_of_an_operation_answers(client: TestClient, path: str) -> None:
    assert_answers(client, path, required(path))


@pytest.mark.parametrize(("path", "parameter"), OPTIONAL, ids=[f"{path}?{one['name']}" for path, one in OPTIONAL])
def test_example_of_a_parameter_answers(client: TestClient, path: str, parameter: Parameter) -> None:
    assert_answers(client, path, {**required(path), parameter["name"]: spelled(parameter["example"])})


@pytest.mark.parametrize("path", OPERATIONS)
def test_examples_of_an_operation_answer_together(client: TestClient, path: str) -> None:
    query = {one["name"]: spelled(one["example"]) for one in examples(path, "query")}
    assert_answers(client, path, query)


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_parameter_that_must_be_there_has_an_example(path: str) -> None:
    needed = [one["name"] for one in OPERATIONS[path].get("parameters", ()) if one["required"]]
    assert needed == [one["name"] for place in ("path", "query") for one in examples(path, place) if one["required"]]


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_operation_is_named_tagged_and_described(path: str) -> None:
    operation = OPERATIONS[path]
    assert operation["operationId"].islower()
    assert operation["tags"]
    assert operation["description"].endswith(".")


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_every_list_is_described_as_one_parameter_with_commas() -> None:
    for path, operation in OPERATIONS.items():
        for parameter in operation.get("parameters", ()):
            if parameter["schema"].get("type") == "array":
                assert (parameter["style"], parameter["explode"]) == ("form", False), (path, parameter["name"])


@pytest.mark.parametrize("path", [path for path, one in OPERATIONS.items() if one.get("parameters")])
def test_every_error_is_declared_as_a_problem(path: str) -> None:
    responses = OPERATIONS[path]["responses"]
    assert "422" in responses
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            assert list(response["content"]) == ["application/problem+json"], status


@pytest.mark.parametrize("path", OPERATIONS)
def test_errors_that_any_request_can_meet_are_declared(path: str) -> None:
    assert {"405", "414", "422", "500"} <= OPERATIONS[path]["responses"].keys() or "default" in (
        OPERATIONS[path]["responses"]
    )


def test_description_is_openapi_3_1() -> None:
    assert DESCRIPTION["openapi"].startswith("3.1")
