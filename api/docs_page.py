"""Render the OpenAPI document as a page. Every fact on the page comes from the document."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from api.problem_pages import marked_up

Json = Mapping[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_EXAMPLE_PART = "3"


class DocsRow(NamedTuple):
    """A line in a list of facts: name, kind and description."""

    name: str
    kind: str
    text: str
    link: str = ""  # name of a schema on the same page


class DocsPage:
    """The page for a server at `address`, such as "https://flow.example.org"."""

    def __init__(self, document: Json, address: str) -> None:
        self._document, self._address = document, address
        self.paragraphs = [
            marked_up(text) for text in document["info"]["description"].split("\n\n")
        ]

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The operations by tag."""
        tags: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in self._document["tags"]}
        for template, path in self._document["paths"].items():
            for method in _METHODS:
                if method in path:
                    operation = self._operation(template, method, path)
                    tags[path[method]["tags"][0]].append(operation)
        return [
            {"name": name, "id": name.replace(" ", "-"), "operations": operations}
            for name, operations in tags.items()
        ]

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The schemas of request and response bodies."""
        return [
            {
                "name": name,
                "text": marked_up(schema.get("description", "")),
                "rows": list(_members(schema)),
                "example": _pretty(schema["examples"][0]) if "examples" in schema else "",
            }
            for name, schema in self._document["components"]["schemas"].items()
        ]

    @property
    def headers(self) -> list[DocsRow]:
        """The request and response headers with their meaning."""
        components = self._document["components"]
        request_rows = [
            DocsRow(name, "call", marked_up(header["description"]))
            for name, header in components["parameters"].items()
        ]
        response_rows = [
            DocsRow(name, "answer", marked_up(header["description"]))
            for name, header in components["headers"].items()
        ]
        return request_rows + response_rows

    def _operation(self, template: str, method: str, path: Json) -> dict[str, Any]:
        operation = path[method]
        parameters = [*path.get("parameters", ()), *operation.get("parameters", ())]
        rows = [self._parameter(parameter) for parameter in parameters]
        return {
            "id": operation["operationId"],
            "method": method.upper(),
            "path": template,
            "summary": operation["summary"],
            "text": marked_up(operation.get("description", "")),
            "parameters": rows,
            "bodies": list(_bodies(operation)),
            "curl": self._curl(template, method, operation),
            "answers": [self._answer(*answer) for answer in operation["responses"].items()],
        }

    def _parameter(self, parameter: Json) -> DocsRow:
        resolved = self._found(parameter)
        kind = "header" if resolved["in"] == "header" else words_of(resolved["schema"])
        return DocsRow(resolved["name"], kind, marked_up(resolved.get("description", "")))

    def _answer(self, status: str, response: Json) -> DocsRow:
        resolved = self._found(response)
        schema: Json = next(
            (content["schema"] for content in resolved.get("content", {}).values()), {}
        )
        link = "" if status >= "400" else _name(schema)
        return DocsRow(
            status, ", ".join(resolved.get("headers", ())), resolved["description"], link
        )

    def _found(self, value: Json) -> Json:
        """Return the value that a reference points to."""
        if "$ref" not in value:
            return value
        target: Any = self._document
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return dict(target)

    def _curl(self, template: str, method: str, operation: Json) -> str:
        """Return a curl command, for a shell with the token in TOKEN."""
        address = self._address + template
        while "{" in address:
            before, _, rest = address.partition("{")
            address = f"{before}{_EXAMPLE_PART}{rest.partition('}')[2]}"
        words = ["curl"]
        if operation["security"]:
            words.append('--header "Authorization: Bearer $TOKEN"')
        contents = operation.get("requestBody", {}).get("content", {})
        if method not in {"get", "post"} or (method == "post" and not contents):
            words.append(f"--request {method.upper()}")
        words.append(shlex.quote(address))
        for media_type, content in list(contents.items())[:1]:
            body = self._found(content["schema"]).get("examples", [None])[0]
            if media_type == "application/json" and body is not None:
                words.append(f"--json {shlex.quote(json.dumps(body, ensure_ascii=False))}")
            else:
                words.append(f'--header "Content-Type: {media_type}" --data-binary @FILE')
        return " \\\n  ".join(words)


def _bodies(operation: Json) -> Iterator[DocsRow]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield DocsRow(media_type, words_of(content["schema"]), "", _name(content["schema"]))


def _members(schema: Json) -> Iterator[DocsRow]:
    """Yield the members of an object schema."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        kind = words_of(member)
        if name in required:
            kind += ", required"
        if member.get("readOnly"):
            kind += ", read only"
        of_entries = _name(member.get("items", {}))
        yield DocsRow(
            name, kind, marked_up(member.get("description", "")), _name(member) or of_entries
        )


def words_of(schema: Json) -> str:
    """Return the kind of value that a schema accepts, in a few words."""
    if name := _name(schema):
        return name
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(str(choice) for choice in schema["enum"])
    kinds = schema.get("type", "any value")
    if kinds == "array":
        return f"list of {words_of(schema.get('items', {}))}"
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _name(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
