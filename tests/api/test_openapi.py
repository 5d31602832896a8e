"""The OpenAPI document says what there is: every address, every method, every schema."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from django.test import Client
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from api.endpoint import Endpoint, unknown_address
from api.openapi import HEADERS, REQUEST_HEADERS, document
from api.openapi_components import COMPONENTS, EXAMPLES
from tests.api.conftest import Caller
from utils.middleware import API_PREFIX

ADDRESS = f"{API_PREFIX}openapi.json"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}


def views(resolver: Any, before: str = "/") -> Iterator[tuple[str, Any]]:
    """Route and view of every URL pattern of the site."""
    for one in resolver.url_patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from views(one, route)
        elif isinstance(one, URLPattern):
            yield route, one.callback


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for template, path in document()["paths"].items():
        for method in METHODS & path.keys():
            yield template, method, path[method]


def values(node: Any, key: str) -> Iterator[Any]:
    """What stands under a key, wherever in the document."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from values(one, key)


def example_of(template: str) -> str:
    return re.sub(r"\{\w+\}", "3", template)


def test_every_address_of_the_api_is_in_it_and_no_other() -> None:
    there = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route): view
        for route, view in views(get_resolver())
        if route.startswith(API_PREFIX) and view is not unknown_address
    }
    strange = [route for route, view in there.items() if not isinstance(view, Endpoint)]
    assert not strange, f"make these with endpoint(GET=Operation(...), ...): {strange}"
    assert set(there) == set(document()["paths"]), "give each URL pattern of the API a name"
    for template, view in there.items():
        documented = METHODS & document()["paths"][template].keys()
        assert documented == {method.lower() for method in view.operations}, template
    assert len(there) >= 8


def test_every_documented_address_leads_to_its_view() -> None:
    for template in document()["paths"]:
        try:
            assert isinstance(resolve(example_of(template)).func, Endpoint)
        except Resolver404:
            raise AssertionError(f"{template} takes no 3 in its parts") from None


def test_no_parameter_of_a_path_takes_a_word_of_another_address() -> None:
    paths = document()["paths"]
    for template, path in paths.items():
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
        schemas = {entry["name"]: entry["schema"] for entry in path.get("parameters", ())}
        for other in paths.keys() - {template}:
            if match := re.fullmatch(pattern, other):
                assert not all(
                    jsonschema_rs.is_valid(schemas[name], value)
                    for name, value in match.groupdict().items()
                    if not value.startswith("{")
                ), f"{other} is an address of {template}"


def test_every_schema_and_header_that_is_named_is_there() -> None:
    named = set(values(document(), "$ref"))
    missing = {name.rpartition("/")[2] for name in named} - {
        *COMPONENTS,
        *HEADERS,
        *REQUEST_HEADERS,
        *document()["components"]["responses"],
    }
    assert not missing, (
        f"{sorted(missing)}: a schema that an operation refers to with ref(...) belongs into "
        "COMPONENTS in api/openapi_components.py, a header into HEADERS in api/openapi.py"
    )


def test_every_schema_that_is_there_is_used() -> None:
    used = {name.rpartition("/")[2] for name in values(document(), "$ref")}
    assert set(COMPONENTS) <= used, f"nothing refers to {sorted(set(COMPONENTS) - used)}"


def test_it_is_openapi() -> None:
    schemathesis.openapi.from_dict(document()).validate()
    for name, schema in COMPONENTS.items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for template, method, operation in operations():
        assert operation["summary"], f"{method} {template}"
        good = [status for status in operation["responses"] if status < "300"]
        assert good, f"{method} {template} tells of no good answer"


def test_every_example_fits_its_schema() -> None:
    fitted = 0
    for name, schema in COMPONENTS.items():
        whole = {
            "$ref": f"#/components/schemas/{name}",
            "components": {"schemas": dict(COMPONENTS)},
        }
        validator = jsonschema_rs.validator_for(whole)
        for example in schema.get("examples", ()):
            assert validator.is_valid(example), (name, list(validator.iter_errors(example)))
            fitted += 1
    for response in document()["components"]["responses"].values():
        content = response["content"]["application/problem+json"]
        schema = {**content["schema"], "components": {"schemas": dict(COMPONENTS)}}
        for example in content["examples"].values():
            assert jsonschema_rs.validator_for(schema).is_valid(example["value"]), example
            fitted += 1
    assert fitted > 25


@pytest.mark.parametrize("collection", EXAMPLES)
def test_every_example_is_accepted(alice: Caller, collection: str) -> None:
    answer = alice.post(f"{collection}/", EXAMPLES[collection])
    assert answer.status_code == 201, answer.content
    singular = collection.removesuffix("s").title()
    changes = COMPONENTS[f"{singular}Patch"]["examples"][0]
    answer = alice.patch(f"{collection}/{answer.json()['id']}/", changes)
    assert answer.status_code == 200, answer.content


def test_it_is_for_everybody_and_may_be_kept(client: Client, db: None) -> None:
    answer = client.get(ADDRESS)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.content) == document()
    assert answer["Cache-Control"] == "public, max-age=3600"
    assert "Cookie" not in answer.get("Vary", "") and "Set-Cookie" not in answer
    again = client.get(ADDRESS, headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.head(ADDRESS)["ETag"] == answer["ETag"]


@pytest.mark.parametrize("tags", ["", "x", '"a" "b"'])
def test_openapi_malformed_if_none_match_is_refused_as_documented(
    client: Client, db: None, tags: str
) -> None:
    response = client.get(ADDRESS, headers={"If-None-Match": tags})
    assert response.status_code == 400
    assert response.json()["type"] == "/problems/bad-header"


def test_every_operation_documents_refusal_of_malformed_call() -> None:
    for template, method, operation in operations():
        assert "400" in operation["responses"], f"{method} {template}"


def test_reading_it_costs_nothing(alice: Caller) -> None:
    before = alice.document["api_calls_used"]
    assert alice.get("openapi.json").status_code == 200
    assert alice.document["api_calls_used"] == before
    assert alice.get("openapi.json?page=2").status_code == 400


def test_openapi_security_matches_anonymous_access(client: Client, db: None) -> None:
    for template, method, operation in operations():
        answer = client.generic(method.upper(), example_of(template))
        if operation["security"] == []:
            assert answer.status_code == 200, template
        else:
            assert answer.status_code == 401, (method, template)
            assert str(answer.status_code) in operation["responses"]


def test_the_page_shows_every_operation_and_every_schema(client: Client, db: None) -> None:
    page = client.get(f"{API_PREFIX}docs/")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = page.content.decode()
    for _, _, operation in operations():
        assert f'id="{operation["operationId"]}"' in text
    for name in COMPONENTS:
        assert f'id="{name}"' in text
    linked = set(re.findall(r'href="#([^"]+)"', text))
    assert linked <= set(re.findall(r'id="([^"]+)"', text)), "a link leads nowhere"
    assert "<script>" not in text and "style=" not in text


def test_the_curl_examples_on_the_page_are_of_this_server(client: Client, db: None) -> None:
    text = client.get(f"{API_PREFIX}docs/").content.decode()
    assert "http://testserver/accounts/api/tasks/" in text
    assert "--json &#x27;{&quot;title&quot;: &quot;Train the baseline&quot;" in text
    assert client.get(f"{API_PREFIX}docs/", headers={"host": "evil.example"}).status_code == 400
