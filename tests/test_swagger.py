"""The specification is complete, valid and true, and Swagger UI asks no other host."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from pydantic import BaseModel, Field

from app import create_app
from config.settings import Settings
from helpers.fields import FIELDS
from helpers.records import INDICES
from helpers.search_args import ARGUMENTS, MAX_HITS, PAGING
from routes.specification import examples
from routes.specification.arguments import HITS_TEXT
from routes.specification.document import build, document
from routes.specification.schemas import record_schemas, to_openapi
from routes.specification.vocabulary import Vocabulary

Json = dict[str, Any]
OFF: Any = {"enabled": False}
SPECIFICATION: Json = build("1.2.3", Vocabulary())
COMPONENTS: Json = SPECIFICATION["components"]
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in SPECIFICATION["paths"].items()
    for method, operation in methods.items()
]
NOT_DOCUMENTED = {"HEAD", "OPTIONS"}  # Flask's own, of every path
FILTERS = [(index, spec.name) for index in INDICES for spec in FIELDS[index].values() if spec.filter]
SORTS = [(index, spec.name) for index in INDICES for spec in FIELDS[index].values() if spec.sort]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A hub that holds the example records of the internal source."""
    folder = tmp_path_factory.mktemp("hub")
    made = create_app(
        Settings(data_dir=folder, log_level="ERROR", neuromorpho=OFF, hippocampome=OFF, modeldb=OFF)
    )
    result = made.test_cli_runner().invoke(args=["refresh", "internal"])
    assert result.exit_code == 0, result.output
    return made


@pytest.fixture
def client(hub: Flask) -> FlaskClient:
    """A client of the hub."""
    return hub.test_client()


def resolved(value: Any, *, closed: bool = False) -> Any:
    """A part of the document with its references followed, so that it can be validated alone.

    `closed` refuses properties that no schema names; the members of `allOf` then cannot stand together.
    """
    if isinstance(value, list):
        return [resolved(item, closed=closed) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        return resolved(target(value), closed=closed)
    made = {key: resolved(item, closed=closed) for key, item in value.items() if key != "discriminator"}
    if closed and isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def target(value: Json) -> Json:
    """What a reference points to; anything else is itself."""
    while "$ref" in value:
        _, _, kind, name = value["$ref"].split("/")
        value = COMPONENTS[kind][name]
    return value


def conforms(value: Any, schema: Json) -> None:
    """Fail with the first difference from a schema of the document."""
    OAS30Validator(resolved(schema)).validate(value)


def parts(value: Any, place: str = "") -> Iterator[tuple[str, Json]]:
    """(place, object) of every object in a document."""
    if isinstance(value, dict):
        yield place, value
        for key, item in value.items():
            yield from parts(item, f"{place}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from parts(item, f"{place}/{number}")


def rules(app: Flask) -> dict[str, set[str]]:
    """Path -> methods of every route that is ours, as the specification writes paths."""
    found: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("flasgger."):
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            found.setdefault(path, set()).update((rule.methods or set()) - NOT_DOCUMENTED)
    return found


# The document


def test_served_document_is_the_one_of_all_indices(client: FlaskClient) -> None:
    answer = client.get("/swagger.json")
    assert answer.mimetype == "application/json"
    version = answer.get_json()["info"]["version"]
    assert answer.get_json() == build(version, Vocabulary())


def test_document_is_valid() -> None:
    OpenAPIV30SpecValidator(SPECIFICATION).validate()


def test_document_is_built_once() -> None:
    assert document("1.2.3") is document("1.2.3")
    assert SPECIFICATION["info"]["version"] == "1.2.3"


def test_every_route_is_documented(hub: Flask) -> None:
    documented = {
        path: {method.upper() for method in methods} for path, methods in SPECIFICATION["paths"].items()
    }
    assert documented == rules(hub)


def test_undocumented_route_is_noticed() -> None:
    app = Flask("other")
    app.add_url_rule("/things/<int:number>/<path:rest>", "things", methods=["GET", "PUT"])
    assert rules(app)["/things/{number}/{rest}"] == {"GET", "PUT"}


@pytest.mark.parametrize("index", INDICES)
def test_every_argument_is_documented(index: str) -> None:
    get = build("0", Vocabulary([index]))["paths"]["/search/{index}"]["get"]
    named = {target(each)["name"] for each in get["parameters"] if target(each)["in"] == "query"}
    filters = {name for of, name in FILTERS if of == index}
    assert named == {*ARGUMENTS, *PAGING, *filters} - {"filters"}
    assert set(COMPONENTS["schemas"]["SearchArguments"]["properties"]) == {*ARGUMENTS, *PAGING}


def test_operations_are_told_apart() -> None:
    operations = [case.values[2] for case in OPERATIONS]
    ids = [operation["operationId"] for operation in operations]
    tags = {tag["name"] for tag in SPECIFICATION["tags"]}
    assert len(ids) == len(set(ids))
    assert {tag for operation in operations for tag in operation["tags"]} == tags
    assert all(operation["summary"] for operation in operations)


def test_everything_is_described() -> None:
    silent = [
        f"{place}/{name}"
        for place, part in parts(SPECIFICATION)
        if isinstance(part.get("properties"), dict) and isinstance(part.get("type"), str)
        for name, schema in part["properties"].items()
        if "$ref" not in schema and not schema.get("description")
    ]
    assert not silent
    assert all(each["description"] for each in COMPONENTS["parameters"].values())


def test_every_component_is_used() -> None:
    used = {part["$ref"] for _, part in parts(SPECIFICATION) if isinstance(part.get("$ref"), str)}
    there = {f"#/components/{kind}/{name}" for kind, found in COMPONENTS.items() for name in found}
    # A path has no operation for the methods that it does not have.
    assert there - used == {"#/components/responses/MethodNotAllowed"}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_errors_are_those_that_can_happen(path: str, method: str, operation: Json) -> None:
    errors = {status for status in operation["responses"] if status >= "400"}
    assert ("404" in errors) == ("{" in path)
    assert {"413", "415"} <= errors or method == "get"
    assert ("400" in errors) >= ("requestBody" in operation)


# Schemas


class Inner(BaseModel):
    """A value within."""

    number: int


class Outer(BaseModel):
    """Whatever pydantic words in another way than OpenAPI 3.0."""

    maybe: Inner | None = None
    described: Inner = Field(description="said")
    either: int | str | None = None
    small: float = Field(gt=0, le=5)
    named: dict[str, Inner] = {}
    example: str = Field(default="a", examples=["b", "c"])


def test_schema_is_worded_for_openapi_3_0() -> None:
    inner = {
        "type": "object",
        "description": "A value within.",
        "required": ["number"],
        "properties": {"number": {"type": "integer", "description": "number"}},
    }
    schema = Outer.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    made = to_openapi(schema, schema.pop("$defs"))
    reference = {"$ref": "#/components/schemas/Inner"}
    assert made["required"] == ["maybe", "described", "either", "small", "named", "example"]
    assert made["properties"] == {
        "maybe": {**inner, "nullable": True},
        "described": {"allOf": [reference], "description": "said"},
        "either": {
            "anyOf": [{"type": "integer", "nullable": True}, {"type": "string", "nullable": True}],
            "description": "either",
        },
        "small": {
            "type": "number",
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 5,
            "description": "small",
        },
        "named": {"type": "object", "additionalProperties": reference, "description": "named"},
        "example": {"type": "string", "example": "b", "description": "example"},
    }


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param({"const": "a", "type": "string"}, {"enum": ["a"], "type": "string"}, id="const"),
        pytest.param(
            {"anyOf": [{"enum": ["a"], "type": "string"}, {"type": "null"}], "default": None},
            {"enum": ["a", None], "type": "string", "nullable": True},
            id="enum or null",
        ),
        pytest.param({"type": "object", "additionalProperties": False}, {"type": "object"}, id="closed"),
    ],
)
def test_words_of_a_schema(schema: Json, expected: Json) -> None:
    assert to_openapi(schema, {}) == expected


def test_schema_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="prefixItems"):
        to_openapi({"type": "array", "prefixItems": []}, {})


def test_records_have_their_units_and_definitions() -> None:
    length = record_schemas()["Measurements"]["properties"]["length_um"]
    assert length == {"type": "number", "nullable": True, "description": "total length of all branches, µm"}


@pytest.mark.parametrize("index", INDICES)
def test_records_are_as_documented_and_hold_nothing_more(client: FlaskClient, index: str) -> None:
    items = client.get(f"/search/{index}/all").get_json()["items"]
    validator = OAS30Validator(resolved(COMPONENTS["schemas"]["Record"], closed=True))
    assert items
    for item in items:
        validator.validate(item)


def test_hits_as_text_have_the_bounds_of_hits() -> None:
    taken = [number for number in range(2 * MAX_HITS) if re.fullmatch(HITS_TEXT, str(number))]
    assert taken == [*range(1, MAX_HITS + 1)]


# Examples


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_examples_conform_to_their_schemas(path: str, method: str, operation: Json) -> None:
    for parameter in map(target, operation.get("parameters", [])):
        if "example" in parameter:
            conforms(parameter["example"], parameter["schema"])
    answers = [target(answer) for answer in operation["responses"].values()]
    for part in (*answers, operation.get("requestBody", {})):
        for content in part.get("content", {}).values():
            named = [each["value"] for each in content.get("examples", {}).values()]
            for value in (*named, *([content["example"]] if "example" in content else [])):
                conforms(value, content["schema"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_examples_work(client: FlaskClient, path: str, method: str, operation: Json) -> None:
    given = [target(each) for each in operation.get("parameters", []) if "example" in target(each)]
    url = path
    query: Json = {}
    for parameter in given:
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        else:
            query[parameter["name"]] = ",".join(parameter["example"])
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    bodies = [each["value"] for each in content.get("examples", {}).values()] or [None]
    for body in bodies:
        with client.open(url, method=method.upper(), query_string=query, json=body) as answer:
            assert answer.status_code == 200, answer.get_data(as_text=True)
            documented = operation["responses"]["200"]["content"]
            if answer.mimetype == "application/json" and path != "/swagger.json":
                conforms(answer.get_json(), documented["application/json"]["schema"])
                assert answer.get_json().get("total", 1) or "quarantine" in path if body else True
            else:
                assert {answer.mimetype, "*/*"} & documented.keys()


@pytest.mark.parametrize("name", Vocabulary().filters)
def test_every_filter_is_taken_and_its_example_finds_records(client: FlaskClient, name: str) -> None:
    values = examples.filter_values(name)
    found = 0
    for index in [index for index, known in FILTERS if known == name]:
        answer = client.get(f"/search/{index}", query_string={name: values or ["none such"]})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found += answer.get_json()["total"]
    assert bool(found) == bool(values)


@pytest.mark.parametrize(("index", "name"), SORTS)
def test_every_sort_key_is_taken(client: FlaskClient, index: str, name: str) -> None:
    for sort in (name, f"-{name}"):
        assert client.get(f"/search/{index}", query_string={"sort": sort}).status_code == 200


ERRORS = [
    ("BadRequest", "type", "GET", "/search/dataset?data_type=morfology", None),
    ("BadRequest", "hits", "GET", "/search/dataset/0/99999", None),
    ("BadRequest", "query", "GET", f"/search/dataset?query={'a' * 1001}", None),
    ("NotFound", "index", "GET", "/search/cells", None),
    ("NotFound", "record", "GET", "/records/dataset/nobody-1", None),
    ("NotFound", "download", "GET", "/download/dataset?ids=nobody-1", None),
    ("MethodNotAllowed", "method", "DELETE", "/search/dataset", None),
    ("BodyTooLarge", "size", "POST", "/search/dataset", b" " * (4 * 1024 * 1024 + 1)),
    ("RequestLineTooLong", "line", "GET", f"/search/dataset?query={'a' * 9000}", None),
    ("NotJSON", "type", "POST", "/search/dataset", b"words"),
]


@pytest.mark.parametrize(
    ("response", "name", "method", "url", "body"), ERRORS, ids=[f"{case[0]} {case[1]}" for case in ERRORS]
)
def test_documented_errors_are_those_that_are_answered(
    client: FlaskClient, response: str, name: str, method: str, url: str, body: bytes | None
) -> None:
    documented = COMPONENTS["responses"][response]["content"]["application/problem+json"]
    shown = copy.deepcopy(documented["examples"][name]["value"])
    answer = client.open(url, method=method, data=body, content_type="text/plain" if body else None)
    assert answer.mimetype == "application/problem+json"
    given = answer.get_json()
    conforms(given, documented["schema"])
    assert _comparable(given) == _comparable(shown)
    assert answer.status_code == shown["status"]


def _comparable(problem: Json) -> Json:
    """Without what differs each time; methods come in any order."""
    detail = re.sub(r"allowed: [A-Z, ]+$", "allowed", problem["detail"])
    return {**problem, "detail": detail, "request_id": None}


def test_range_of_a_file_is_as_documented(client: FlaskClient) -> None:
    url = f"/files/internal/{examples.OWN_FILE}"
    with client.get(url, headers={"Range": "bytes=0-9"}) as part:
        assert part.status_code == 206
    beyond = client.get(url, headers={"Range": "bytes=999999-"})
    shown = COMPONENTS["responses"]["RangeNotSatisfiable"]["content"]["application/problem+json"]
    assert _comparable(beyond.get_json()) == _comparable(shown["examples"]["range"]["value"])


# Swagger UI


@pytest.mark.parametrize("path", ["/apidocs", "/apidocs/"])
def test_page_and_what_it_loads_come_from_this_hub(client: FlaskClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    loaded = re.findall(r"""(?:src|<link[^>]*href)=["']([^"']+)["']""", text)
    assert loaded
    for url in loaded:
        assert url.startswith("/"), url
        with client.get(url) as asset:
            assert asset.status_code == 200, url
            if asset.mimetype == "text/css":
                styles = asset.get_data(as_text=True)
                assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", styles), url
    assert not re.search(r"(https?:)?//[a-z]", text), "the page names another host"
    assert "default-src 'self'" in text
    assert 'url: "/swagger.json"' in text


def test_documentation_can_be_switched_off(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, log_level="ERROR", swagger=False, neuromorpho=OFF, hippocampome=OFF, modeldb=OFF
    )
    client = create_app(settings).test_client()
    assert client.get("/apidocs/").status_code == 404
    assert client.get("/swagger.json").status_code == 404


def test_written_documentation_names_every_route(hub: Flask) -> None:
    written = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    missing = [path for path in rules(hub) if f"`{path}`" not in written]
    assert not missing
