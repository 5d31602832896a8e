"""The schemas of the OpenAPI document: records, from the table, and what is around them.

`ref("Task")` in an operation means COMPONENTS["Task"] here. Those of records are made from the
table by `utils.schemas`; the others are written down, for nothing else knows them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from accounts.api_json_patch import OPERATIONS_MAX
from accounts.api_operations import ref
from accounts.api_problems import PROBLEMS
from utils import schemas
from utils.json_values import FAULTS_MAX
from utils.records import COLLECTIONS, RECORD_COLLECTIONS, CollectionSpec, new_record
from utils.schemas import Schema

_MOMENT = datetime(2026, 11, 23, 12, 4, 5, 123456, tzinfo=UTC)

# What the examples of the document are made from; a test creates them all.
EXAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tasks": {
            "title": "Train the baseline",
            "priority": "high",
            "due_date": "2026-11-27",
            "tags": ["ml"],
        },
        "projects": {
            "name": "Reading X-rays",
            "start_date": "2026-11-02",
            "technologies": ["PyTorch", "DICOM"],
            "budget": 12000,
        },
        "models": {
            "name": "xray-resnet50",
            "status": "training",
            "accuracy": 93.4,
            "hyperparameters": {"learning_rate": 0.0003},
        },
    }
)
_CHANGES = {
    "tasks": {"status": "completed", "metadata": {"seed": None}},
    "projects": {"end_date": "2026-12-18"},
    "models": {"status": "active", "performance_metrics": {"auroc": 0.97}},
}


def example_record(collection: str) -> dict[str, Any]:
    """The example as it is stored."""
    spec = COLLECTIONS[collection]
    return new_record(spec, EXAMPLES[collection], record_id=3, owner=7, now=_MOMENT)


def _object(description: str, properties: Schema, *optional: str) -> Schema:
    """An object of which all members but the `optional` ones are always there."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_NUMBER: Schema = {"type": "integer", "minimum": 0}
_COUNTS: Schema = {"type": "object", "additionalProperties": _NUMBER}


def _of_records(spec: CollectionSpec) -> dict[str, Schema]:
    name, example = spec.singular.title(), example_record(spec.name)
    part = {**schemas.record_schema(spec)}
    part["description"] = f"A {spec.singular}, or those of its fields that were asked for."
    del part["required"]
    return {
        name: {**schemas.record_schema(spec), "examples": [example]},
        f"{name}Part": part,
        f"{name}List": _list(spec, f"{name}Part", example),
        f"{name}Input": {
            **schemas.creation_schema(spec),
            "examples": [EXAMPLES[spec.name]],
        },
        f"{name}Replacement": {**schemas.replacement_schema(spec), "examples": [example]},
        f"{name}Patch": {**schemas.change_schema(spec), "examples": [_CHANGES[spec.name]]},
    }


def _list(spec: CollectionSpec, entry: str, example: Schema) -> Schema:
    members = {
        spec.name: {"type": "array", "items": ref(entry)},
        "total": {"description": "How many there are on all pages.", **_NUMBER},
        "next": {
            "type": ["string", "null"],
            "format": "uri-reference",
            "description": "Where the next page is; null on the last.",
        },
    }
    whole = _object(f"{spec.name.title()}, in the order asked for.", members, "total", "next")
    return {**whole, "examples": [{spec.name: [example], "total": 1}]}


def _dashboard() -> Schema:
    numbers = (
        "total_tasks",
        "completed_tasks",
        "overdue_tasks",
        "total_projects",
        "active_projects",
        "total_models",
        "active_models",
    )
    counts = ("tasks_by_status", "tasks_by_priority")
    figures = dict.fromkeys(numbers, _NUMBER) | dict.fromkeys(counts, _COUNTS)
    members = {
        "user": {
            "type": "object",
            "description": "The person's own document, without the activities.",
        },
        "statistics": _object("How many there are.", figures),
        "recent_activities": {"type": "array", "maxItems": 10, "items": {"type": "object"}},
    }
    return _object("The person, the figures, the ten latest activities, newest first.", members)


def _quota() -> Schema:
    burst = _object(
        "How many calls may come at once; after `window` seconds of rest all are free again.",
        dict.fromkeys(("limit", "window", "remaining", "resets_in"), _NUMBER),
    )
    members = dict.fromkeys(("limit", "used", "remaining", "resets_in"), _NUMBER)
    tokens = {"description": 'The calls of each token, by its id; "" is a page.', **_COUNTS}
    return _object("The month's calls.", {**members, "by_token": tokens, "burst": burst})


def _json_patch() -> Schema:
    pointer = {"type": "string", "pattern": "^(/([^~/]|~[01])*)*$"}
    one = _object(
        "One operation.",
        {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": pointer,
            "from": pointer,
            "value": {},
        },
        "from",
        "value",
    )
    one["allOf"] = [
        _if_op(["move", "copy"], "from"),
        _if_op(["add", "replace", "test"], "value"),
    ]
    return {
        "type": "array",
        "description": "Operations, done one after the other (RFC 6902).",
        "maxItems": OPERATIONS_MAX,
        "items": one,
        "examples": [[{"op": "replace", "path": "/metadata", "value": {"seed": 7}}]],
    }


def _if_op(ops: list[str], needed: str) -> Schema:
    return {"if": {"properties": {"op": {"enum": ops}}}, "then": {"required": [needed]}}


def _problem() -> Schema:
    fault = _object(
        "One fault, where it is, and what to do about it.",
        {
            "pointer": {
                "type": "string",
                "description": "Where in the body: a JSON Pointer (RFC 6901).",
            },
            "parameter": {"type": "string", "description": "Which parameter of the query."},
            "detail": {"type": "string"},
        },
        "pointer",
        "parameter",
    )
    fault["oneOf"] = [{"required": ["pointer"]}, {"required": ["parameter"]}]
    slugs = sorted({problem.slug for problem in PROBLEMS.values()})
    members = {
        "type": {
            "type": "string",
            "enum": [f"/problems/{slug}" for slug in slugs],
            "description": "The kind of problem. It is stable: decide by it.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "For a person; it may change."},
        "instance": {
            "type": "string",
            "description": "Names the request, as X-Request-ID does: tell it to the operator.",
        },
        "errors": {"type": "array", "maxItems": FAULTS_MAX, "items": fault},
        "line": {"type": ["integer", "null"]},
        "column": {"type": ["integer", "null"]},
        "document": {"type": "string"},
        "current": {"type": "object", "description": "With 412: the record as it is now."},
    }
    optional = ("errors", "line", "column", "document", "current")
    return _object("What went wrong (RFC 9457).", members, *optional)


def _standing_here(schema: Any) -> Any:
    """A schema of `utils.schemas`, referring to what stands in the OpenAPI document."""
    if isinstance(schema, dict):
        return {
            key: ref("Value")["$ref"]
            if key == "$ref" and value == "#/$defs/value"
            else _standing_here(value)
            for key, value in schema.items()
        }
    return [_standing_here(one) for one in schema] if isinstance(schema, list) else schema


COMPONENTS: Mapping[str, Schema] = MappingProxyType(
    {
        name: _standing_here(schema)
        for name, schema in {
            "Value": schemas.VALUE,
            **{
                name: schema
                for collection in RECORD_COLLECTIONS
                for name, schema in _of_records(COLLECTIONS[collection]).items()
            },
            "Dashboard": _dashboard(),
            "Quota": _quota(),
            "JsonPatch": _json_patch(),
            "Problem": _problem(),
        }.items()
    }
)
